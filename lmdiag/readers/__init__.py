"""Readers: bytes -> RawLog, one file per format; `gather`: RawLog -> Run, once for all.

To add a reader, write its file with `can_read(name, head) -> bool` and `read(source) -> list[RawLog]`, add one line to
`READERS` in the order in which they are asked, one generated sample, and its page in `docs/formats/`. A reader of whole
folders is asked with a name that ends with `/` and the list of the files as `head`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lmdiag.errors import BadSetting, LmdiagError, UnreadableLog, nearest
from lmdiag.readers.csv_header import header_names
from lmdiag.readers.growing import Growing
from lmdiag.readers.options import ReadOptions, mapped
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.source import Source
from lmdiag.run import Run

if TYPE_CHECKING:
    import pandas
    import polars

# Asked in this order, the first that recognises the content reads it. Modules are imported when they are asked,
# so that a log of a kind near the top costs none of the others.
READERS = (
    "lmdiag_jsonl",
    "hf_trainer_state",
    "jupyter",
    "keras_history",
    "json_document",
    "jsonl",
    "tensorboard",
    "wandb",
    "sqlite_log",
    "mlflow",
    "parquet",
    "wandb_export",
    "lightning_csv",
    "keras_csv",
    "csv_table",
    "text",
    "text.generic_pairs",
)

PACKAGES = (  # what it is, where its mark stands, the mark
    ("a zip archive", 0, b"PK\x03\x04"),
    ("a tar archive", 257, b"ustar"),
    ("a 7z archive", 0, b"7z\xbc\xaf\x27\x1c"),
    ("a rar archive", 0, b"Rar!\x1a\x07"),
    ("packed with xz", 0, b"\xfd7zXZ\0"),
    ("packed with bzip2", 4, b"1AY&SY"),
    ("packed with lz4", 0, b"\x04\x22\x4d\x18"),
)
FALLBACK = f"lmdiag.readers.{READERS[-1]}"  # takes any text; whether there is a record in it shows when it is read
MAY_HOLD_NONE = (FALLBACK, "lmdiag.readers.jupyter")


def reader_named(name: str) -> ModuleType:
    """Return the reader of this name, as given to `--reader`."""
    known = {reader.rpartition(".")[2].replace("_", "-"): reader for reader in READERS}
    if name.replace("_", "-") not in known:
        raise BadSetting(f'there is no reader "{name}"', nearest(name, list(known)))
    return import_module(f"lmdiag.readers.{known[name.replace('_', '-')]}")


def reader_of(source: Source, mapping: Mapping[str, str] | None = None) -> ModuleType | None:
    """Return the first reader that recognises the content, None when none does.

    A table is also recognised by a header that holds the names of the user's `mapping`.
    """
    for name in READERS:
        reader: ModuleType = import_module(f"lmdiag.readers.{name}")
        if reader.can_read(source.name, source.head) or (
            mapping and name == "csv_table" and set(mapping.values()) <= set(header_names(source.head))
        ):
            return reader
    return None


def read_source(source: Source, reader: str = "", options: ReadOptions | None = None) -> list[RawLog]:
    """Read a source with the reader that recognises it, or the one named; raise UnreadableLog with what was seen."""
    options = options or ReadOptions()
    name = reader or options.reader
    _refuse_packed(source)
    if options.pattern:
        from lmdiag.readers.text.generic_pairs import read_pattern

        found = read_pattern(source, options.pattern)
    else:
        chosen = reader_named(name) if name else reader_of(source, options.mapping)
        if chosen is None:
            raise _unknown(source)
        try:
            found = _read_with(chosen, source)
        except UnreadableLog as error:
            raise error if name or chosen.__name__ != FALLBACK else _unknown(source) from error
    damage = source.__dict__.get("damage", "")
    return [mapped(raw if not damage else _damaged(raw, damage), options.mapping) for raw in found]


def begin(source: Source, options: ReadOptions) -> Growing | None:
    """Return a reading of a log of which `source` is the beginning, to which lines can be added; None where its format
    must be read as a whole."""
    start = source.text
    if options.pattern:
        from lmdiag.readers.text.generic_pairs import pattern_family

        return pattern_family(options.pattern).begin(source.name, start)
    chosen = reader_named(options.reader) if options.reader else reader_of(source)
    growing: Growing | None = getattr(chosen, "begin", lambda name, start: None)(source.name, start)
    return growing


def _read_with(reader: ModuleType, source: Source) -> list[RawLog]:
    with _said_to_the_user(source.name, reader.__name__.rpartition(".")[2].replace("_", "-")):
        found: list[RawLog] = reader.read(source)
    return found


@contextmanager
def _said_to_the_user(name: str, kind: str) -> Iterator[None]:
    """Turn what nobody foresaw in damaged input into an error a user can act on."""
    try:
        yield
    except LmdiagError:
        raise
    except Exception as error:
        raise UnreadableLog(
            f"{name} looks like {kind}, but reading it failed: {type(error).__name__}: {error}",
            "the file may be damaged; if other programs read it, please report this with the file",
        ) from error


def _damaged(raw: RawLog, damage: str) -> RawLog:
    from dataclasses import replace

    from lmdiag.run import Skipped

    return replace(raw, skipped=(*raw.skipped, Skipped(0, damage)))


def _refuse_packed(source: Source) -> None:
    """Raise UnreadableLog for what is the user's to unpack: names in an archive, for one, could lead anywhere."""
    kind = next((kind for kind, at, mark in PACKAGES if source.head[at : at + len(mark)] == mark), "")
    if kind and not source.is_folder:
        raise UnreadableLog(f"{source.name} is {kind}", "unpack it, and name the log or the folder with the logs")


def _unknown(source: Source) -> UnreadableLog:
    if source.is_folder:
        if source.path and not os.access(source.path, os.R_OK | os.X_OK):
            return UnreadableLog(f"cannot read the folder {source.name}", "check that it may be read")
        return UnreadableLog(f"no log was found in the folder {source.name}", "name the file itself")
    if not source.head.strip():
        return UnreadableLog(f"{source.name} is empty", "the run wrote nothing, or wrote elsewhere")
    binary = b"\0" in source.head[:4096]
    first = source.head[:4096].decode("utf-8", "replace").strip().partition("\n")[0][:80]
    return UnreadableLog(
        f"{source.name} is no log that lmdiag knows; it {'holds binary data' if binary else f'begins with {first!r}'}",
        "name the reader with --reader, or describe its lines with --pattern '(?P<step>…)(?P<loss>…)'",
    )


def runs_of(source: Source, options: ReadOptions | None = None) -> list[Run]:
    """Return every run that a source holds."""
    return runs_in(read_source(source, options=options), source.name)


def runs_in(logs: Iterable[RawLog], name: str) -> list[Run]:
    """Return every run that the logs of one source hold; raise UnreadableLog where there is none."""
    from lmdiag.readers.gather import gather
    from lmdiag.readers.separate import separate

    runs: list[Run] = []
    for raw in logs:
        with _said_to_the_user(name, raw.format):
            runs += [run for run in map(gather, separate(raw)) if run.series]
    if not runs:
        raise UnreadableLog(f"{name} holds no values", "the run wrote nothing yet, or wrote its metrics elsewhere")
    return runs


def find(paths: Iterable[str | Path]) -> tuple[list[Source], list[LmdiagError]]:
    """Return the logs that files, folders, globs and `-` name, and what could not be found."""
    from lmdiag.readers.discover import discover

    return discover(paths, reader_of, _is_surely_a_log)


def _is_surely_a_log(source: Source) -> bool:
    """Tell whether a file met in a folder is a log: any text and any notebook must hold a record."""
    reader = reader_of(source)
    if reader is None or reader.__name__ not in MAY_HOLD_NONE:
        return reader is not None
    try:
        return bool(reader.read(source))
    except UnreadableLog:
        return False


def read_logs(paths: Iterable[str | Path], options: ReadOptions | None = None) -> tuple[list[Run], list[LmdiagError]]:
    """Read all runs that the paths name; what cannot be read is returned beside them, and never hides the others."""
    runs: list[Run] = []
    problems: list[LmdiagError] = []
    for path in paths:
        sources, missing = find([path])
        problems += missing
        found: list[Run] = []
        for source in sources:
            try:
                found += runs_of(source, options)
            except UnreadableLog as error:
                problems.append(error)
        if len(found) > 1 and Path(path).is_dir():
            from lmdiag.readers.copies import without_copies

            found = without_copies(found)
        runs += found
    return runs, problems


def read_all(paths: str | Path | Iterable[str | Path]) -> list[Run]:
    """Read every run in files, folders or globs; raise UnreadableLog when there is none."""
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    runs, problems = read_logs(listed)
    if not runs:
        raise problems[0] if problems else UnreadableLog("no paths were given", "give a file, a folder or a glob")
    return runs


def read(path: str | Path, *, reader: str = "", mapping: Mapping[str, str] | None = None) -> Run:
    """Read the one run of a log; raise UnreadableLog when it holds none, or several."""
    runs, problems = read_logs([path], ReadOptions(reader, mapping or {}))
    if not runs:
        raise problems[0]
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs[:5])
        raise UnreadableLog(
            f"{path} holds {len(runs)} runs: {names}{', …' if len(runs) > 5 else ''}", "use lmdiag.read_all"
        )
    return runs[0]


def from_pandas(frame: pandas.DataFrame, name: str = "frame") -> Run:
    """Return the run that a pandas data frame holds, one row per record.

    >>> import pandas as pd
    >>> from_pandas(pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}))["loss"].values.tolist()
    [2.0, 1.0]
    """
    from lmdiag.readers.from_frame import from_pandas_frame
    from lmdiag.readers.gather import gather

    return gather(from_pandas_frame(frame, name))


def from_polars(frame: polars.DataFrame, name: str = "frame") -> Run:
    """Return the run that a polars data frame holds, one row per record.

    >>> import polars as pl
    >>> from_polars(pl.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}))["loss"].values.tolist()
    [2.0, 1.0]
    """
    from lmdiag.readers.from_frame import from_polars_frame
    from lmdiag.readers.gather import gather

    return gather(from_polars_frame(frame, name))
