"""One TensorBoard event file: the scalars in it, and what its texts and hyperparameters say.

Records of one tag differ only in their time, step and value. So the first record of each kind is decoded field by
field, and the others are copied from the same places, if every other byte is the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec import Struct, field

from lmdiag.readers.tensorboard.crc32c import cut_out
from lmdiag.readers.tensorboard.event_proto import Value, numbers, parse_event, size_of
from lmdiag.readers.tensorboard.tfrecord import frame
from lmdiag.readers.tensorboard.wire import BadWire
from lmdiag.run import Skipped

_RECORDS_AT_ONCE = 1 << 16
_SMALLEST_GROUP = 8
_ROUNDS = 4
_FACTOR = 0x9E3779B97F4A7C15  # odd, without a pattern
_TIME_KEY, _STEP_KEY, _STEP_AT, _LONGEST_STEP = 0x09, 0x10, 10, 10


class EventFile(Struct):
    """What one event file holds: n scalars in the order of the file, and everything said beside them.

    `tags[tag_ids[i]]` was `values[i]` at step `steps[i]` and Unix time `times[i]`. `settings` are the
    hyperparameters, `texts` the text summaries by tag; `records` counts the sound records of any kind.
    """

    records: int = 0
    started: float = 0.0  # Unix time of the first record
    tags: dict[str, int] = field(default_factory=dict)
    tag_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    steps: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    times: np.ndarray = field(default_factory=lambda: np.empty(0))
    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    texts: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()


def read_event_file(data: bytes) -> EventFile:
    """Decode all events of a file; what is damaged is left out and counted."""
    framed = frame(data)
    decoder = _Decoder(data, framed.starts, framed.lengths)
    count = len(framed.starts)
    for first in range(0, count, _RECORDS_AT_ONCE):
        decoder.decode(np.arange(first, min(first + _RECORDS_AT_ONCE, count)))
    file = decoder.file(framed.skipped)
    if count:
        file.started = _time(data[int(framed.starts[0]) : int(framed.starts[0]) + 9])
    return file


def _time(start: bytes) -> float:
    """Return the time an event begins with, 0 if it has none."""
    return struct.unpack("<d", start[1:])[0] if len(start) == 9 and start[0] == _TIME_KEY else 0.0


class _Decoder:
    """Collects the scalars of one file, a group of equal records at a time."""

    def __init__(self, data: bytes, starts: np.ndarray, lengths: np.ndarray) -> None:
        self.data, self.raw = data, np.frombuffer(data, np.uint8)
        self.starts, self.lengths = starts, lengths
        self.result = EventFile(len(starts))
        self.groups: list[tuple[np.ndarray, ...]] = []
        self.singles: list[tuple[float, ...]] = []
        self.bad = 0

    def file(self, skipped: tuple[Skipped, ...]) -> EventFile:
        """Put what was collected back into the order of the file."""
        if self.singles:
            records, tags, steps = (np.array([s[i] for s in self.singles], np.int64) for i in range(3))
            times, values = (np.array([s[i] for s in self.singles]) for i in (3, 4))
            self.groups.append((records, tags, steps, times, values))
        if self.groups:
            records, *columns = (np.concatenate(parts) for parts in zip(*self.groups))
            order = np.argsort(records, kind="stable")
            r = self.result
            r.tag_ids, r.steps, r.times, r.values = (column[order] for column in columns)
            _number_as_they_come(r)
        bad = (Skipped(0, "record that is not an event", self.bad),) if self.bad else ()
        self.result.skipped = (*skipped, *bad)
        return self.result

    def decode(self, records: np.ndarray) -> None:
        """Decode the records of these numbers: those of one length and one width of the step together."""
        for group in _split(records, self.lengths[records]):
            length = int(self.lengths[group[0]])
            if len(group) < _SMALLEST_GROUP or length < _STEP_AT + _LONGEST_STEP:
                self.one_by_one(group)
                continue
            block = cut_out(self.raw, self.starts[group], length)
            widths = _step_widths(block)
            for chosen in _split(np.arange(len(group)), widths):
                width = int(widths[chosen[0]])
                if width < 0:
                    self.one_by_one(group[chosen])
                else:
                    self.alike(group[chosen], block[chosen], width)

    def alike(self, records: np.ndarray, block: np.ndarray, step_width: int) -> None:
        """Decode records of one length whose step takes `step_width` bytes."""
        for _ in range(_ROUNDS):
            if len(records) < _SMALLEST_GROUP:
                break
            first = self.lone_scalar(int(records[0]))
            if first is None:
                break
            open_to_change = np.r_[
                1:9, _STEP_AT : _STEP_AT + step_width, first.start : first.start + size_of(first.dtype)
            ]
            done = np.zeros(len(records), bool)
            for same in _equal_but(block, open_to_change):
                like = self.lone_scalar(int(records[same[0]]))
                if like is not None and (like.start, like.dtype) == (first.start, first.dtype):
                    self.groups.append((records[same], *self.columns(block[same], step_width, like)))
                    done[same] = True
            records, block = records[~done], block[~done]
        self.one_by_one(records)

    def lone_scalar(self, record: int) -> Value | None:
        """Return the value of a record that holds one scalar and nothing else; `start` counts from the record."""
        start = int(self.starts[record])
        try:
            event = parse_event(self.data, start, start + int(self.lengths[record]))
        except BadWire:
            return None
        if len(event.scalars) != 1 or event.other or not event.scalars[0].dtype:
            return None
        value = event.scalars[0]
        return Value(value.tag, value.value, value.start - start, value.dtype)

    def columns(self, block: np.ndarray, step_width: int, like: Value) -> tuple[np.ndarray, ...]:
        """Return tag ids, steps, times and values of records that look like `like`."""
        steps = _steps(block[:, _STEP_AT : _STEP_AT + step_width])
        times = np.ascontiguousarray(block[:, 1:9]).view("<f8")[:, 0]
        values = numbers(block[:, like.start : like.start + size_of(like.dtype)], like.dtype)
        return np.full(len(block), self.tag_id(like.tag)), steps, times, values

    def one_by_one(self, records: np.ndarray) -> None:
        for record in records.tolist():
            start = int(self.starts[record])
            try:
                event = parse_event(self.data, start, start + int(self.lengths[record]))
            except BadWire:
                self.bad += 1
                continue
            self.result.texts |= event.texts
            self.result.settings |= event.settings
            self.singles += [(record, self.tag_id(v.tag), event.step, event.time, v.value) for v in event.scalars]

    def tag_id(self, tag: str) -> int:
        return self.result.tags.setdefault(tag, len(self.result.tags))


def _number_as_they_come(file: EventFile) -> None:
    """Number the tags in the order in which they first appear in the file."""
    first = np.empty(len(file.tags), np.int64)
    first[file.tag_ids[::-1]] = np.arange(len(file.tag_ids))[::-1]
    place = np.argsort(np.argsort(first))
    names = sorted(file.tags, key=lambda tag: place[file.tags[tag]])
    file.tags = {tag: number for number, tag in enumerate(names)}
    file.tag_ids = place[file.tag_ids]


def _split(items: np.ndarray, keys: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the items of equal key together, each group in its original order."""
    order = np.argsort(keys, kind="stable")
    yield from np.split(items[order], np.flatnonzero(np.diff(keys[order])) + 1)


def _step_widths(block: np.ndarray) -> np.ndarray:
    """Return how many bytes each record's step takes: 0 without one, -1 if the record does not begin as usual."""
    ends = block[:, _STEP_AT : _STEP_AT + _LONGEST_STEP] < 0x80
    widths = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, -1)
    widths[block[:, _STEP_AT - 1] != _STEP_KEY] = 0
    widths[block[:, 0] != _TIME_KEY] = -1
    return widths


def _steps(raw: np.ndarray) -> np.ndarray:
    """Return int64[n] from the varints uint8[n, width]."""
    steps = np.zeros(len(raw), np.uint64)
    for place in range(raw.shape[1]):
        steps |= (raw[:, place] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
    return steps.view(np.int64)


def _equal_but(block: np.ndarray, open_to_change: np.ndarray) -> Iterator[np.ndarray]:
    """Yield groups of rows that are equal in all columns but those."""
    rows, width = block.shape
    padding = ((0, 0), (0, -width % 8))
    kept = np.full((1, width), 0xFF, np.uint8)
    kept[:, open_to_change] = 0
    words = np.pad(block, padding).view(np.uint64) & np.pad(kept, padding).view(np.uint64)
    prints = words @ np.cumprod(np.full(words.shape[1], _FACTOR, np.uint64))
    for group in _split(np.arange(rows), prints):
        # Two different rows may share a print: the comparison decides.
        yield group[(words[group] == words[group[0]]).all(axis=1)]
