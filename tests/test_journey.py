"""A path on its way through `lmdiag check` goes forward: few hand-overs, and never back to a file it came through."""

import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import CodeType, FrameType

import pytest

from lmdiag.cli import main
from lmdiag.judging.reading import Group
from lmdiag.sources.source import Folder, Source
from tests.cli.conftest import falling, write_log

PACKAGE = Path(__file__).parents[1] / "lmdiag"
MOST_HAND_OVERS = 30
INNER = {"<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>", "<lambda>"}  # parts of the function around them


class Journey:
    """The places in the code where a function hands the path to one of another file; a loop hands it on at one place."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.hand_overs: set[tuple[str, int, str]] = set()

    def trace(self, frame: FrameType, event: str, arg: object) -> None:
        """Look at a call: to be given to `sys.setprofile`."""
        code = frame.f_code
        if event != "call" or not _is_ours(code) or code.co_name in INNER:
            return
        taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        values = [frame.f_locals[name] for name in taken if name in frame.f_locals]
        if values and isinstance(values[0], (Source, Folder)) and taken[0] == "self":
            return  # who asks a source for its bytes hands nothing on
        caller = frame.f_back
        while caller is not None and not _is_ours(caller.f_code):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_filename != code.co_filename and any(map(self._holds, values)):
            self.hand_overs.add((_file(caller.f_code), caller.f_lineno, _file(code)))

    def _holds(self, value: object) -> bool:
        if isinstance(value, (list, tuple)):
            return any(map(self._holds, value))
        return isinstance(value, (Source, Folder, Group)) or (
            isinstance(value, (str, Path)) and str(value).startswith(self._path)
        )

    def arrows(self) -> Iterator[tuple[str, set[str]]]:
        """Yield each file with those that it hands the path to."""
        for file in {first for first, _, _ in self.hand_overs}:
            yield file, {other for first, _, other in self.hand_overs if first == file}


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(str(PACKAGE))


def _file(code: CodeType) -> str:
    return Path(code.co_filename).relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("named", ["runs/a.jsonl", "runs"])
def test_the_path_goes_forward(named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_log(tmp_path / f"runs/{name}.jsonl", falling())
    journey = Journey(tmp_path / named)
    sys.setprofile(journey.trace)
    try:
        code = main(["check", str(tmp_path / named), "--isolated"])
    finally:
        sys.setprofile(None)
    assert (code, "healthy" in capsys.readouterr().out) == (0, True)
    assert {"cli/check.py", "sources/find.py", "readers/__init__.py", "gather/__init__.py"} <= {
        other for _, _, other in journey.hand_overs
    }
    places = {(file, line) for file, line, _ in journey.hand_overs}  # a loop over the readers is one
    assert len(places) <= MOST_HAND_OVERS, sorted(places)
    list(TopologicalSorter(dict(journey.arrows())).static_order())  # raises CycleError where the path goes back
