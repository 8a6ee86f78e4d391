"""CRC-32C of many records at once: table look-ups on whole arrays instead of a loop over bytes.

The remainder is linear and blind to leading zeros. So records are padded in front to a common width and cut into
lanes; each pair of bytes is looked up in the table of its place in the lane, and the lanes are folded together.
Polynomial 0x82F63B78 (Castagnoli, reflected), RFC 3720 appendix B.4.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_LANE_LEVEL = 7
_LANE = 1 << _LANE_LEVEL
_BYTES_AT_ONCE = 1 << 19  # what the processor's cache holds


def crc32c(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return uint32[n]: the CRC-32C of data[starts[i]:starts[i] + lengths[i]] for every i.

    `data` is uint8[size]; `starts` and `lengths` are int64[n].

    >>> hex(crc32c(np.frombuffer(b"123456789", np.uint8), np.array([0]), np.array([9]))[0])
    '0xe3069283'
    """
    remainders = np.zeros(len(starts), np.uint32)
    widths = _widths(lengths)
    for width in np.unique(widths).tolist():
        chosen = np.flatnonzero(widths == width)
        parts = min(len(chosen), -(-len(chosen) * width // _BYTES_AT_ONCE))  # a record may be longer than a part
        for part in np.array_split(chosen, parts):
            remainders[part] = _remainders(_right_aligned(data, starts[part], lengths[part], width))
    return remainders ^ _after_ones(lengths) ^ np.uint32(_ONES)


def cut_out(data: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """Return uint8[n, width]: data[starts[i]:starts[i] + width] for every i; `data` has no gaps, and holds at least that much.

    >>> cut_out(np.arange(5, dtype=np.uint8), np.array([0, 3]), 2).tolist()
    [[0, 1], [3, 4]]
    """
    windows = np.ndarray(len(data) - width + 1, np.dtype((np.void, width)), data, 0, 1)
    return windows[starts].view(np.uint8).reshape(-1, width)


def masked(remainders: np.ndarray) -> np.ndarray:
    """Return the checksums as TensorFlow stores them: rotated right by 15 bits, plus a constant."""
    return ((remainders >> np.uint32(15)) | (remainders << np.uint32(17))) + np.uint32(0xA282EAD8)


def _widths(lengths: np.ndarray) -> np.ndarray:
    """Round up to a multiple of 4, of a lane, or of a power of two lanes: few different widths."""
    widths = np.maximum(4, lengths + 3 & ~3)
    long = lengths > _LANE
    if long.any():
        widths[long] = _LANE << np.ceil(np.log2(-(-lengths[long] // _LANE))).astype(np.int64)
    return widths


def _right_aligned(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Return uint8[n, width] with one record at the right end of each row, zeros before it."""
    first = starts + lengths - width
    if first.min() < 0:
        lead = int(-first.min())
        data = np.concatenate([np.zeros(lead, np.uint8), data[: int((starts + lengths).max())]])
        first = first + lead
    block = cut_out(data, first, width)
    if (lengths < width).any():
        block[np.arange(width) < (width - lengths)[:, None]] = 0
    return block


def _remainders(block: np.ndarray) -> np.ndarray:
    rows, width = block.shape
    lanes = block.reshape(-1, min(width, _LANE)).view("<u2")
    remainders = np.zeros(len(lanes), np.uint32)
    for place in range(lanes.shape[1]):
        remainders ^= np.take(_pair_table(lanes.shape[1] - 1 - place), lanes[:, place])
    folded: np.ndarray = remainders.reshape(rows, -1)
    level = _LANE_LEVEL
    while folded.shape[1] > 1:
        folded = _shifted(folded[:, 0::2], level) ^ folded[:, 1::2]
        level += 1
    return folded[:, 0]


def _after_ones(lengths: np.ndarray) -> np.ndarray:
    """Return what the initial remainder of all ones contributes after `lengths` bytes."""
    longest = int(lengths.max(initial=0))
    if longest < _LANE:
        return _after_ones_in_lane()[lengths]
    start = np.full(len(lengths), _ONES, np.uint32)
    for level in range(longest.bit_length()):
        start = np.where(lengths >> level & 1, _shifted(start, level), start)
    return start


@lru_cache(maxsize=1)
def _after_ones_in_lane() -> np.ndarray:
    return _after_ones(np.arange(_LANE + 1))[:-1]


def _shifted(remainders: np.ndarray, level: int) -> np.ndarray:
    """Return the remainders after 2**level further zero bytes."""
    low, high = _shift_tables(level)
    return np.take(low, remainders & np.uint32(0xFFFF)) ^ np.take(high, remainders >> np.uint32(16))


@lru_cache(maxsize=1)
def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> np.uint32(1) ^ np.uint32(_POLYNOMIAL), table >> np.uint32(1))
    return table


@lru_cache(maxsize=_LANE)
def _pair_table(pairs_behind: int) -> np.ndarray:
    """Return what every pair of bytes, as a little-endian number, contributes with so many pairs behind it."""
    if pairs_behind:
        return _shifted(_pair_table(pairs_behind - 1), 1)
    pairs = np.arange(1 << 16, dtype=np.uint32)
    first = _byte_table()[pairs & np.uint32(0xFF)]
    return _byte_table()[(first ^ pairs >> np.uint32(8)) & np.uint32(0xFF)] ^ first >> np.uint32(8)


@lru_cache(maxsize=40)
def _shift_tables(level: int) -> tuple[np.ndarray, np.ndarray]:
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    if level == 0:
        images = _byte_table()[bits & np.uint32(0xFF)] ^ bits >> np.uint32(8)
    else:
        images = _shifted(_shifted(bits, level - 1), level - 1)
    return _combinations(images[:16]), _combinations(images[16:])


def _combinations(images: np.ndarray) -> np.ndarray:
    """Return the XOR of every subset of `images`, indexed by the subset as a bit mask."""
    table = np.zeros(1, np.uint32)
    for image in images:
        table = np.concatenate([table, table ^ image])
    return table
