"""DVCLive: a folder with `plots/metrics/`, in which each metric has a TSV file of its own, `metrics.json` and `params.yaml`."""

from __future__ import annotations

from pathlib import Path

from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

FORMAT = "dvclive"
OWNS_SUBFOLDERS = True
_METRICS = "plots/metrics/"


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder has the last values in `metrics.json`, and files of single metrics below `plots/metrics/`."""
    files = head.decode("utf-8", "replace").split("\n") if name.endswith("/") else []
    return "metrics.json" in files and any(file.startswith(_METRICS) and file.endswith(".tsv") for file in files)


def read(source: Source) -> list[RawLog]:
    """Read the files of all metrics as one run, with the parameters."""
    assert source.path is not None
    skipped: list[Skipped] = []
    folder, parameters = source.path / _METRICS, source.path / "params.yaml"
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in files_in(folder, "**/*.tsv")}
    metrics = {name: _points(name, path, skipped) for name, path in files.items()}
    timed = all(time >= 0 for points in metrics.values() for time, _, _ in points)
    settings = plain_yaml(Source(parameters.as_posix(), parameters).text) if parameters.is_file() else {}
    metrics = metrics if timed else _in_turn(metrics)
    return [tracked_run(FORMAT, source.name, source.name, metrics, settings, None, skipped, timed=timed)]


def _points(name: str, path: Path, skipped: list[Skipped]) -> list[tuple[int, float, int]]:
    """Return the (time in ms, value, step) of each line below the header; the time is -1 where none was asked for."""
    header, *lines = Source(path.as_posix(), path).text.splitlines() or [""]
    names = header.split("\t")
    points = []
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        named = dict(zip(names, cells))
        try:
            points.append((counted(named.get("timestamp", -1)), float(cells[len(names) - 1]), counted(named["step"])))
        except (KeyError, IndexError, ValueError):
            skipped.append(Skipped(number, f"{_METRICS}{name}.tsv: not a step and a value: {line[:40]!r}"))
    return points


def _in_turn(metrics: dict[str, list[tuple[int, float, int]]]) -> dict[str, list[tuple[int, float, int]]]:
    """Put a number in place of the time of each value: where its step stands among those of the fullest metric.

    So the values of a resumed run, whose steps go back in each file alone, stand behind all of the run before.
    """
    clock = [step for _, _, step in max(metrics.values(), key=len, default=[])]
    placed: dict[str, list[tuple[int, float, int]]] = {}
    for name, points in metrics.items():
        at, before, turns = 0, 0, placed.setdefault(name, [])
        for _, value, step in points:
            if step < before:  # resumed: the clock goes back, too
                at = next((k for k in range(at + 1, len(clock)) if clock[k] < clock[k - 1]), at)
            while at < len(clock) and clock[at] < step:
                at += 1
            turns.append((at, value, step))
            before = step
    return placed
