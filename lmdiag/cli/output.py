"""Where reports go: standard output, and the files that `--output FORMAT=FILE` names."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from lmdiag.cli.options import pairs
from lmdiag.cli.streams import ignore_closed_output
from lmdiag.errors import BadSetting, LmdiagError, nearest
from lmdiag.reports import FORMATS, render
from lmdiag.reports.report import Report

TABLE = "parquet"  # the one format that is no text, and so is only written


def print_result(text: str) -> None:
    """Write text to standard output; what its encoding lacks becomes `?`, and a reader who has left is no error."""
    if not text:
        return
    try:
        print_line(text)
    except BrokenPipeError:
        ignore_closed_output()


def print_line(text: str) -> None:
    """Write text to standard output; raise BrokenPipeError when its reader has left."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        ignore_closed_output()  # what is left would fail again when the program ends
        raise LmdiagError(f"cannot write to standard output: {error.strerror}", "is the disk full?") from error


def checked_outputs(given: Sequence[str]) -> dict[str, str]:
    """Return {format: file} of `--output`, once every format is known."""
    outputs = pairs(given, "--output")
    for name in outputs:
        if name not in (*FORMATS, TABLE):
            raise BadSetting(f"--output: there is no format {name!r}", nearest(name, [*FORMATS, TABLE]))
    return outputs


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
            f"cannot write {path}: {error.strerror}", "give a file in a folder you may write to."
        ) from error
