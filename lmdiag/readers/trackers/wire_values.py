"""Values that a tracker keeps in protobuf records: what SwanLab and Neptune Scale have in common."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from lmdiag.readers.tensorboard.event_rows import Points
from lmdiag.readers.tensorboard.wire import VARINT, BadWire, fields, signed, varint

VARINT_PATTERN = rb"(?:[\x80-\xff]{0,9}[\0-\x7f])"
ZERO = bytes(8)


@dataclass
class Values:
    """The values of a run in the order they were written: of each its key, step, time in s, and the bytes of its number."""

    keys: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    numbers: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, key: str, step: int, time: float, number: Any) -> None:
        """Add a value; raise BadWire where it is no number of eight bytes."""
        if not isinstance(number, bytes) or len(number) != 8:
            raise BadWire("a value is no number")
        self.keys.append(key)
        self.steps.append(step)
        self.times.append(time)
        self.numbers.append(number)

    def replace_since(self, start: int, values: list[tuple[float, str, int, float]]) -> None:
        """Put these (time, key, step, value) in the place of the values from one on."""
        self.times[start:] = [time for time, _, _, _ in values]
        self.keys[start:] = [key for _, key, _, _ in values]
        self.steps[start:] = [step for _, _, step, _ in values]
        self.numbers[start:] = [struct.pack("<d", value) for _, _, _, value in values]

    def points(self, starts: list[int], hidden: Collection[str] = ()) -> Points:
        """Return the values of the run, whose parts begin at `starts`, without those of hidden keys."""
        ids: dict[str, int] = {}
        column_ids = np.array([ids.setdefault(key, len(ids)) for key in self.keys], np.int64)
        numbers = np.frombuffer(b"".join(self.numbers), "<f8")
        steps, times = np.array(self.steps, np.int64), np.array(self.times)
        return Points(list(ids), column_ids, steps, times, numbers, np.array(starts, np.int64)).without(hidden)


def message(record: bytes, start: int = 0, end: int | None = None) -> dict[int, Any]:
    """Return the last value of each field: numbers as they are, else the bytes."""
    return {n: a if kind == VARINT else record[a:b] for n, kind, a, b in fields(record, start, end)}


def seconds(stamp: bytes) -> float:
    """Return the time that a timestamp message tells, in s."""
    said = message(stamp)
    return float(signed(said.get(1, 0)) + 1e-9 * said.get(2, 0))


@lru_cache(maxsize=4096)
def text(raw: bytes) -> str:
    """Return the words of a field; the metrics of a run have few names."""
    return raw.decode("utf-8", "replace")


@lru_cache(maxsize=4096)
def number(raw: bytes) -> int:
    """Return the number that these bytes hold; the metrics of a step share it."""
    return signed(varint(raw, 0)[0])


def nanos(raw: bytes | None) -> float:
    """Return the part of a second that these bytes tell, 0 where there are none."""
    return 1e-9 * varint(raw, 0)[0] if raw else 0.0
