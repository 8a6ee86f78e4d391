"""TFRecord framing: length, checksum of the length, payload, checksum of the payload, over and over."""

from __future__ import annotations

import struct

import numpy as np
from msgspec import Struct

from lmdiag.readers.tensorboard.crc32c import crc32c, cut_out, masked
from lmdiag.run import Skipped

HEADER, FOOTER = 12, 4
_RECORDS_AT_ONCE = 1 << 16
_WALKED, _REPEATED = 1 << 10, 1 << 14  # records that are read one by one, and then expected to repeat these
_LONGEST_ROUND = 64  # records
_FIRST_SEARCH_BYTES, _SEARCH_BYTES = 1 << 9, 1 << 18


class Framed(Struct, frozen=True, eq=False):
    """Where the sound records of a file lie: payload i is data[starts[i]:starts[i] + lengths[i]]; int64[n] both."""

    starts: np.ndarray
    lengths: np.ndarray
    skipped: tuple[Skipped, ...]


def is_record(head: bytes) -> bool:
    """Tell whether the bytes begin with a record header whose checksum is right."""
    return len(head) >= HEADER and bool(_sound_headers(np.frombuffer(head, np.uint8), np.zeros(1, np.int64))[0])


def frame(data: bytes) -> Framed:
    """Find every record whose checksums are right; say what is damaged, and where, and go on behind it.

    A record that is cut off at the end of the file is normal for a live or killed run; it is counted as skipped.
    """
    raw = np.frombuffer(data, np.uint8)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    skipped: list[Skipped] = []
    at = 0
    if 0 < len(data) < HEADER + FOOTER:
        skipped.append(Skipped(0, f"{len(data)} bytes are less than one record"))
    while at < len(data) >= HEADER + FOOTER:
        headers, lengths, at = _chase(data, raw, at)
        sound = _sound_headers(raw, headers)
        good = len(headers) if sound.all() else int(np.argmin(sound))
        found.append(_checked(raw, headers[:good] + HEADER, lengths[:good], skipped))
        if good < len(headers):
            at = int(headers[good])
        elif len(headers) == _RECORDS_AT_ONCE or at == len(data):
            continue
        elif len(data) - at < HEADER or is_record(data[at : at + HEADER]):
            skipped.append(Skipped(0, f"the last record is cut off at byte {at:,}: {len(data) - at:,} bytes"))
            break
        at = _after_damage(raw, at, skipped)
    starts, lengths = (np.concatenate(parts) for parts in zip(*found)) if found else (np.empty(0, np.int64),) * 2
    return Framed(starts, lengths, tuple(skipped))


def _chase(data: bytes, raw: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Follow the lengths from record to record, at most `_RECORDS_AT_ONCE`; return where it cannot go on."""
    found = [np.empty(0, np.int64)]
    last, left = len(data) - HEADER - FOOTER, _RECORDS_AT_ONCE
    while at <= last and left:
        walked, at = _walk(data, at, last, min(_WALKED, left))
        more, at = _repeat(raw, at, last, walked, min(_REPEATED, left - len(walked)))
        found += [walked, more]
        left -= len(walked) + len(more)
    starts = np.concatenate(found)
    if at > len(data):
        starts, at = starts[:-1], int(starts[-1])
    return starts, _stored(raw, starts, "<i8"), at


def _walk(data: bytes, at: int, last: int, most: int) -> tuple[np.ndarray, int]:
    """Return the headers of the next records, read one by one, and where the record behind them begins."""
    headers: list[int] = []
    append, length_at = headers.append, struct.Struct("<Q").unpack_from
    for _ in range(most):
        if at > last:
            break
        append(at)
        at += length_at(data, at)[0] + HEADER + FOOTER
    return np.array(headers, np.int64), at


def _repeat(raw: np.ndarray, at: int, last: int, headers: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Return the same of records whose lengths repeat those before them: most programs log the same tags at every step."""
    widths = np.diff(headers, append=min(at, last))
    recent = widths[-_LONGEST_ROUND:]
    rounds = range(1, min(_LONGEST_ROUND, len(widths) - len(recent)) + 1)
    tags = next((n for n in rounds if np.array_equal(recent, widths[-n - len(recent) : -n])), 0)
    if not tags or at > last:
        return headers[:0], at
    expected = np.tile(recent[-tags:], most // tags)
    ends = at + np.cumsum(expected)
    starts = ends - expected
    starts = starts[starts <= last]
    wrong = _stored(raw, starts, "<i8") != expected[: len(starts)] - HEADER - FOOTER
    right = int(np.argmax(wrong)) if wrong.any() else len(starts)
    return starts[:right], int(ends[right - 1]) if right else at


def _sound_headers(raw: np.ndarray, headers: np.ndarray) -> np.ndarray:
    return _stored(raw, headers + 8) == masked(crc32c(raw, headers, np.full(len(headers), 8)))


def _checked(
    raw: np.ndarray, starts: np.ndarray, lengths: np.ndarray, skipped: list[Skipped]
) -> tuple[np.ndarray, np.ndarray]:
    sound = _stored(raw, starts + lengths) == masked(crc32c(raw, starts, lengths))
    if not sound.all():
        where = int(starts[np.argmin(sound)]) - HEADER
        count = int((~sound).sum())
        skipped.append(Skipped(0, f"damaged record: the checksum is wrong (first at byte {where:,})", count))
    return starts[sound], lengths[sound]


def _stored(raw: np.ndarray, at: np.ndarray, dtype: str = "<u4") -> np.ndarray:
    return cut_out(raw, at, np.dtype(dtype).itemsize).view(dtype)[:, 0]


def _after_damage(raw: np.ndarray, at: int, skipped: list[Skipped]) -> int:
    """Return where the next sound header begins behind damage at byte `at`, or the end of the file."""
    resume = len(raw)
    first, width = at + 1, _FIRST_SEARCH_BYTES  # where there is much damage, the next sound record is near
    while first <= len(raw) - HEADER:
        candidates = np.arange(first, min(first + width, len(raw) - HEADER + 1))
        first, width = first + width, min(4 * width, _SEARCH_BYTES)
        sound = np.flatnonzero(_sound_headers(raw, candidates))
        if len(sound):
            resume = int(candidates[sound[0]])
            break
    skipped.append(Skipped(0, f"damaged record at byte {at:,}: {resume - at:,} bytes cannot be read"))
    return resume
