"""Readers: Source -> RawLog, one file or folder per format.

To add a reader, write its file with `can_read(name, head) -> bool` and `read(source) -> list[RawLog]`, add its name and
module to `READERS` in the order in which they are asked, one generated sample, and its page in `docs/formats/`. A reader of whole
folders is asked with a name that ends with `/` and the list of the files as `head`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import BadSetting, NoValues, UnreadableLog, explained, nearest
from lmdiag.readers.growing import Growing
from lmdiag.readers.options import ReadOptions, mapped
from lmdiag.readers.rawlog import RawLog
from lmdiag.run import Skipped
from lmdiag.sources.pasted import as_printed
from lmdiag.sources.source import Source

# Asked in this order, the first that recognises the content reads it. Modules are imported when they are asked,
# so that a log of a kind near the top costs none of the others. The names are those of `--reader`.
READERS = {
    "parquet": "lmdiag.readers.frames.parquet",
    "lmdiag-jsonl": "lmdiag.readers.lmdiag_log.reader",
    "hf-trainer-state": "lmdiag.readers.huggingface_state",
    "jupyter": "lmdiag.readers.notebooks.jupyter",
    "sacred": "lmdiag.readers.trackers.sacred",
    "keras-history": "lmdiag.readers.keras.history",
    "comet": "lmdiag.readers.trackers.comet",
    "clearml": "lmdiag.readers.trackers.clearml",
    "labml": "lmdiag.readers.trackers.labml",
    "json-document": "lmdiag.readers.json.document",
    "jsonl": "lmdiag.readers.json.lines",
    "guild": "lmdiag.readers.trackers.guild",
    "tensorboard": "lmdiag.readers.tensorboard.reader",
    "wandb": "lmdiag.readers.wandb.run_folder",
    "sqlite-log": "lmdiag.readers.trackers.sqlite_log",
    "mlflow": "lmdiag.readers.trackers.mlflow",
    "swanlab": "lmdiag.readers.trackers.swanlab",
    "neptune": "lmdiag.readers.trackers.neptune",
    "aim": "lmdiag.readers.trackers.aim",
    "visualdl": "lmdiag.readers.trackers.visualdl",
    "polyaxon": "lmdiag.readers.trackers.polyaxon",
    "dvclive": "lmdiag.readers.trackers.dvclive",
    "mmengine": "lmdiag.readers.trackers.mmengine",
    "composer-file": "lmdiag.readers.trackers.composer",
    "numpy": "lmdiag.readers.frames.numpy_arrays",
    "wandb-export": "lmdiag.readers.wandb.export",
    "lightning-csv": "lmdiag.readers.lightning",
    "keras-csv": "lmdiag.readers.keras.csv",
    "sockeye": "lmdiag.readers.sockeye",
    "csv-table": "lmdiag.readers.csv.table",
    "text": "lmdiag.readers.text",
    "generic-pairs": "lmdiag.readers.text.any_text",
}

# Of these readers each knows a file by one of these marks, in its head or in its name: where none stands there, its module
# need not be imported to say no. Others are asked, and all are asked about folders.
MARKS = {
    "lmdiag-jsonl": (b'"lmdiag-log/',),
    "hf-trainer-state": (b"log_history",),
    "jupyter": (b'"cell_type"', b".ipynb"),
    "sacred": (b'"steps"',),
    "comet": (b"PK", b'{"payload":{'),
    "clearml": (b"PK", b"[{"),
    "numpy": (b"PK", b"NUMPY"),
    "labml": (b'{"track": {"',),
    "keras-history": (b"{",),
    "json-document": (b"{", b"["),
    "jsonl": (b"{",),
    "tensorboard": (b"brain.Event", b"tfevents"),
    "wandb": (b":W&B",),
    "sqlite-log": (b"SQLite format 3",),
    "swanlab": (b":SWL",),
    "visualdl": (b"meta_data_tag",),
    "composer-file": (b"[metric][batch=",),
    "parquet": (b"PAR1",),
    **dict.fromkeys(("guild", "mlflow", "neptune", "aim", "polyaxon", "dvclive", "mmengine"), ()),  # read folders alone
}
ANYWHERE = frozenset(  # the marks of others stand near the beginning
    ("hf-trainer-state", "jupyter", "keras-history", "json-document", "jsonl", "composer-file")
)
NEAR = 8192
SHORT_NAMES = {  # as reports call a format, and what people are likely to type
    "csv": "csv-table",
    "tsv": "csv-table",
    "json": "json-document",
    "json-lines": "jsonl",
    "lmdiag-log": "lmdiag-jsonl",
    "lmdiag-log/1": "lmdiag-jsonl",
    "sqlite": "sqlite-log",
    "trainer-state": "hf-trainer-state",
    "lightning": "lightning-csv",
}
PACKAGES = (  # what it is, where its mark stands, the mark
    ("a zip archive", 0, b"PK\x03\x04"),
    ("a tar archive", 257, b"ustar"),
    ("a 7z archive", 0, b"7z\xbc\xaf\x27\x1c"),
    ("a rar archive", 0, b"Rar!\x1a\x07"),
    ("packed with xz", 0, b"\xfd7zXZ\0"),
    ("packed with bzip2", 4, b"1AY&SY"),
    ("packed with lz4", 0, b"\x04\x22\x4d\x18"),
)
FALLBACK = "generic-pairs"  # takes any text; whether there is a record in it shows when it is read
OF_ARCHIVES = ("clearml", "comet", "numpy")  # these read single members of a zip archive, by their names
OF_PRINTS = ("text", FALLBACK)  # these are given the word that the user says counts the steps
MAY_BE_PASTED = (*OF_PRINTS, "csv-table", "")
HOLD_LOGS = ("jupyter",)  # these are given the means to read what they hold
# Other programs write such files, too.
OF_ANY_DATA = ("json-document", "jsonl", "sqlite-log", "parquet", "csv-table", "numpy")
MAY_HOLD_NONE = (FALLBACK, *HOLD_LOGS)
REUSED = 31 << 20  # bytes, just below the 32 MiB from which on glibc never reuses an array


@cache
def reader_named(name: str) -> ModuleType:
    """Return the reader of this name, as given to `--reader`."""
    name = name.replace("_", "-")
    name = SHORT_NAMES.get(name, name)
    if name not in READERS:
        raise BadSetting(f'there is no reader "{name}"', nearest(name, list(READERS)))
    return import_module(READERS[name])


def reader_for(source: Source, mapping: Mapping[str, str] | None = None) -> str:
    """Return the name of the first reader that recognises the content, "" when none does.

    With a `mapping` any table is one: the user says what its columns are.
    """
    for name in READERS:
        if not may_read(name, source.name, source.head):
            continue
        if reader_named(name).can_read(source.name, source.head):
            return name
        if mapping and name == "csv-table" and reader_named(name).table_names(source.name, source.head):
            return name
    return ""


def may_read(name: str, file: str, head: bytes) -> bool:
    """Tell whether it is worth asking this reader for a file or folder of this name."""
    if name not in MARKS or file.endswith("/"):
        return True
    seen = head if name in ANYWHERE else head[:NEAR]
    return any(mark in seen or mark in file.encode("utf-8", "replace") for mark in MARKS[name])


def reader_of(source: Source) -> ModuleType | None:
    """Return the first reader that recognises the content, None when none does."""
    name = reader_for(source)
    return reader_named(name) if name else None


def _reuse_memory() -> None:
    """Free one large array, after which glibc reuses those up to its size: clearing new memory is a tenth of the time of a long log."""
    np.empty(REUSED, np.uint8)


def read_source(source: Source, options: ReadOptions | None = None) -> list[RawLog]:
    """Read a source with the reader that recognises it, or the one named; raise UnreadableLog with what was seen."""
    options = options or ReadOptions()
    _reuse_memory()
    if options.pattern or options.reader:
        return _read(source, options, options.reader)
    chosen = reader_for(source, options.mapping)
    if chosen in MAY_BE_PASTED:
        printed, undone = as_printed(source)
        if undone:
            return _of_a_paste(source, printed, undone, options, chosen)
    return _read(source, options, chosen)


def _of_a_paste(source: Source, printed: Source, undone: str, options: ReadOptions, chosen: str) -> list[RawLog]:
    """Read a text as it was before it was pasted, if more is read so than of the text as it stands."""
    try:
        found = _read(printed, options, reader_for(printed, options.mapping))
    except UnreadableLog:
        return _read(source, options, chosen)
    try:
        standing = _read(source, options, chosen)
    except UnreadableLog:
        standing = []
    if not _more(found, standing):
        return standing
    note = f"The text was read as if it had been pasted: without {undone}; its lines are counted as they are then."
    return [replace(raw, notes=(*raw.notes, note)) for raw in found]


def _more(found: list[RawLog], standing: list[RawLog]) -> bool:
    """Tell whether the first reading holds more values, and no event less."""
    (values, events), (values_before, events_before) = map(_held, (found, standing))
    return values > values_before and events >= events_before


def _held(found: list[RawLog]) -> tuple[int, int]:
    return sum(len(c.rows) for raw in found for c in raw.columns.values()), sum(len(raw.events) for raw in found)


def _read(source: Source, options: ReadOptions, chosen: str) -> list[RawLog]:
    if options.pattern:
        _refuse_packed(source)
        from lmdiag.readers.text.any_text import read_pattern

        found = read_pattern(source, options.pattern)
    else:
        if chosen not in OF_ARCHIVES:
            _refuse_packed(source)
        if not chosen:
            raise _unknown(source)
        try:
            with as_unreadable(source.name, chosen):
                found = _read_with(chosen, source, options.mapping.get("step", ""))
        except UnreadableLog as error:
            if options.reader or chosen != FALLBACK or isinstance(error, NoValues):
                raise
            raise _unknown(source) from error
    damage = source.reading.damage
    found = [raw if not damage else _damaged(raw, damage) for raw in found]
    encoding, word = source.guessed_encoding
    if encoding:
        note = f'The text is no UTF-8; it was taken for {encoding}, in which it holds "{word}", and that is a guess.'
        found = [replace(raw, notes=(*raw.notes, note)) for raw in found]
    return [mapped(raw, options.mapping) for raw in found]


def begin(source: Source, options: ReadOptions) -> Growing | None:
    """Return a reading of a log of which `source` is the beginning, to which lines can be added; None where its format
    must be read as a whole."""
    start = source.text
    if options.pattern:
        from lmdiag.readers.text.any_text import begin_pattern

        return begin_pattern(source.name, start, options.pattern)
    name = options.reader or reader_for(source)
    more = (options.mapping.get("step", ""),) if name in OF_PRINTS else ()
    begins = getattr(reader_named(name), "begin", None) if name else None
    growing: Growing | None = begins(source.name, start, *more) if begins else None
    return growing


def is_log(source: Source) -> bool:
    """Tell whether a file met in a folder is surely a log: any text and any notebook must hold a record."""
    name = reader_for(source)
    if name not in MAY_HOLD_NONE:
        return bool(name)
    try:
        return bool(_read_with(name, source))
    except UnreadableLog:
        return False
    except Exception:  # what is wrong with it is said when it is read
        return True


def _read_with(name: str, source: Source, counter: str = "") -> list[RawLog]:
    reader = reader_named(name)
    more = (read_source,) if name in HOLD_LOGS else (counter,) if name in OF_PRINTS else ()
    found: list[RawLog] = reader.read(source, *more)
    return found


def as_unreadable(name: str, kind: str) -> AbstractContextManager[None]:
    """Turn what nobody foresaw in damaged input into an error a user can act on."""

    def explain(error: Exception) -> UnreadableLog:
        if isinstance(error, PermissionError):  # of what lies beside the log that was named
            return UnreadableLog(f"cannot read {error.filename or name}: {error.strerror}", "check that it may be read")
        return UnreadableLog(
            f"{name} looks like {kind}, but reading it failed: {type(error).__name__}: {error}",
            "the file may be damaged; if other programs read it, please report this with the file",
        )

    return explained(explain)


def _damaged(raw: RawLog, damage: str) -> RawLog:
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
    from lmdiag.readers.suggestions import suggestion

    found, command = suggestion(source)
    if command:
        return UnreadableLog(f"{source.name} is no log that lmdiag knows; {found}", command)
    binary = b"\0" in source.head[:4096]
    first = source.head[:4096].decode("utf-8", "replace").strip().partition("\n")[0][:80]
    return UnreadableLog(
        f"{source.name} is not in a format that lmdiag recognises; "
        f"it {'holds binary data' if binary else f'begins with {first!r}'}",
        "save the numbers as CSV, JSON Lines or parquet, or name the reader with --reader"
        if binary
        else "name the reader with --reader, or describe its lines with --pattern '(?P<step>…)(?P<loss>…)'",
    )
