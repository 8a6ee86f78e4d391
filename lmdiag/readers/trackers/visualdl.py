"""VisualDL: files `vdlrecords.TIME.log`, each record a length and a protobuf message; without the package."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tensorboard.wire import BYTES, BadWire, fields, signed
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.wire_values import message, text
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

FORMAT = "visualdl"
_PREFIX = "vdlrecords."
_META = b"meta_data_tag"
_STEP, _TAG, _TIME, _VALUE, _SETTINGS = 1, 2, 3, 4, 13  # fields of a value
_INT, _FLOAT, _WORDS, _NAME = 1, 2, 3, 4  # of a setting


@dataclass
class _Found:
    metrics: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a file of records, which begins with its meta data, or a folder with one in it."""
    if name.endswith("/"):
        return any(file.startswith(_PREFIX) for file in head.decode("utf-8", "replace").split("\n"))
    return _META in head[:64] and head[1:8] == bytes(7)


def read(source: Source) -> list[RawLog]:
    """Read a file, or all of a folder, which a resumed run adds to, as one run."""
    files = [source]
    if source.is_folder and source.path:
        paths = files_in(source.path, f"{_PREFIX}*")
        files = [Source(path.as_posix(), path) for path in paths]
    found = _Found()
    skipped: list[Skipped] = []
    for file in files:
        for record in _records(file.data, skipped):
            try:
                _take(record, found)
            except (BadWire, struct.error, TypeError, AttributeError, KeyError):
                skipped.append(Skipped(0, "record that cannot be decoded"))
    if not found.metrics and not found.settings:
        raise UnreadableLog(f"{source.name}: no sound record of VisualDL in it", "check that it was copied completely")
    return [tracked_run(FORMAT, source.name, source.name, found.metrics, found.settings, None, skipped)]


def _records(data: bytes, skipped: list[Skipped]) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        if at + 8 + size > len(data):
            skipped.append(Skipped(0, f"the record at byte {at:,} is cut off: {len(data) - at:,} bytes"))
            return
        yield data[at + 8 : at + 8 + size]
        at += 8 + size


def _take(record: bytes, found: _Found) -> None:
    for number, kind, a, b in fields(record):
        if (number, kind) != (1, BYTES):
            continue
        said = message(record, a, b)
        value = said.get(_VALUE)
        if isinstance(value, bytes) and len(value) == 4:
            point = float(signed(said.get(_TIME, 0))), struct.unpack("<f", value)[0], signed(said.get(_STEP, 0))
            found.metrics.setdefault(text(said[_TAG]), []).append(point)
        elif isinstance(settings := said.get(_SETTINGS), bytes):
            for inner, inner_kind, c, d in fields(settings):
                if (inner, inner_kind) == (1, BYTES):
                    setting = message(settings, c, d)
                    found.settings[text(setting.get(_NAME, b""))] = _plain(setting)


def _plain(setting: dict[int, Any]) -> Any:
    if _INT in setting:
        return signed(setting[_INT])
    if _FLOAT in setting:
        return struct.unpack("<d", setting[_FLOAT])[0]
    return text(setting[_WORDS]) if _WORDS in setting else None
