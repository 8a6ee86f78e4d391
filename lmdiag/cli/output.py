"""Where reports go: standard output, and the files that `--output FORMAT=FILE` names."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lmdiag.cli.options import pairs
from lmdiag.cli.streams import ignore_closed_output
from lmdiag.errors import BadSetting, LmdiagError, UnreadableLog, nearest
from lmdiag.patterns import lazy
from lmdiag.reports import FORMATS, render
from lmdiag.reports.report import Report
from lmdiag.reports.sparkline import BARS, NOT_FINITE

TABLE = "parquet"  # the one format that is no text, and so is only written

# What stands for the marks of a report where an output cannot show them, on an old Windows console for example.
PLAIN = str.maketrans(f"{BARS}{NOT_FINITE}✗✓○→↳·–", "_.:-=+*#xx+o>>|-") | {
    ord("…"): "...",
    ord("∞"): "inf",
    ord("±"): "+-",
    ord("µ"): "u",
}

COMMAND = lazy(r"^(\s*)(::|##\[)", re.MULTILINE)  # a name in a log may be so, and stand first where it wraps


def print_result(text: str, commands: bool = False) -> None:
    """Write text to standard output, in ASCII marks where it cannot show others; a reader who has left is no error.

    Only what is printed as `commands` may be such to GitHub Actions: it obeys any line that begins like one.
    """
    if not text:
        return
    try:
        print_line(text, commands)
    except BrokenPipeError:
        ignore_closed_output()


def print_line(text: str, commands: bool = False) -> None:
    """Write text to standard output; raise BrokenPipeError when its reader has left."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and not commands:
        text = COMMAND.sub(r"\1·\2", text)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
        text = showable(text, sys.stdout.encoding)
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        ignore_closed_output()  # what is left would fail again when the program ends
        raise LmdiagError(f"cannot write to standard output: {error.strerror}", "is the disk full?") from error


def showable(text: str, encoding: str) -> str:
    """Return the text as it is, or in ASCII marks where the encoding cannot show all of it.

    >>> showable("✗ loss ▁▄█ 2.5", "ascii"), showable("✗ loss ▁▄█ 2.5", "utf-8")
    ('x loss _-# 2.5', '✗ loss ▁▄█ 2.5')
    """
    try:
        text.encode(encoding, "surrogateescape")  # names of files need not be text
    except UnicodeEncodeError:
        return text.translate(PLAIN)
    return text


def checked_outputs(given: Sequence[str]) -> dict[str, str]:
    """Return {format: file} of `--output`, once every format is known."""
    outputs = pairs(given, "--output", "FORMAT=FILE")
    for name in outputs:
        if name not in (*FORMATS, TABLE):
            raise BadSetting(f"--output: there is no format {name!r}", nearest(name, [*FORMATS, TABLE]))
    return outputs


def check_files(files: Iterable[str | Path], paths: Iterable[str]) -> None:
    """Raise BadSetting unless every file may be written: it has a name, and is none of the logs at the paths."""
    given = [Path(file) for file in files]
    if Path("-") in given:
        raise BadSetting("- is not the name of a file to write", "`--format` prints; ./- is a file of that name")
    written = {identity: file for file in given if (identity := _identity(file))}
    for path in paths if written else ():
        for log, is_surely in _files_named(path):
            identity = _identity(log)
            if identity in written and (is_surely or _is_log(log)):
                raise BadSetting(
                    f"{written[identity]} would be written over the log {log}", "give another file to write"
                )


def _identity(file: Path) -> tuple[int, int] | None:
    """Return by what a file is known under all its names, None where there is none."""
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _files_named(path: str) -> Iterator[tuple[Path, bool]]:
    """Yield the files that a path names, and those in a folder, which are not all logs; False for these."""
    from lmdiag.sources.addresses import is_url
    from lmdiag.sources.local import named
    from lmdiag.sources.source import Folder

    if is_url(path) or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
        return
    with suppress(UnreadableLog, OSError):  # that is said when it is read
        for found in named(path) if path != "-" else ():
            if isinstance(found, Folder):
                yield from ((file, False) for file in found.path.rglob("*"))
            else:
                yield Path(found.name), True


def _is_log(file: Path) -> bool:
    """Tell whether a file holds a run, as the report of an earlier check does not."""
    from lmdiag.judging.reading import runs_of
    from lmdiag.sources.source import Source

    try:
        return any(run.curve for run in runs_of(Source(str(file), file)))
    except UnreadableLog:
        return False


def write_outputs(report: Report, outputs: dict[str, str]) -> None:
    """Write the report to every file, in its format."""
    for name, file in outputs.items():
        if name == TABLE:
            from lmdiag.reports.parquet import render as table_of

            write_bytes(Path(file), table_of(report))
        else:
            write_file(Path(file), render(report, name))


def write_file(path: Path, text: str) -> None:
    """Write text to a file and make the folders above it."""
    write_bytes(path, (text + "\n").encode("utf-8", "replace"))  # names of files need not be text


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a file and make the folders above it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise LmdiagError(
            f"cannot write {path}: {error.strerror}", "give a file in a folder you may write to"
        ) from error
