"""The lines of a block of bytes, and which of them are out of the ordinary: found with numpy, not line by line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from msgspec import Struct

NEWLINE, QUOTE, COLON, SPACE, RETURN = b'\n": \r'
CACHED = 1 << 18
SHORT = 256  # a line of white space is not longer
WHITE = b" \t\r\v\f"
FIRST_BYTES_OF_VALUES = b'-0123456789"ntf'


class Lines(Struct, frozen=True, dict=True):
    """The lines of a block; `first` is the number of its first line in the log."""

    block: bytes
    first: int

    @cached_property
    def text(self) -> np.ndarray:
        """The bytes: uint8[n]."""
        return np.frombuffer(self.block, np.uint8)

    @cached_property
    def ends(self) -> np.ndarray:
        """Where each line ends, its line end excluded: int64[n]."""
        ends = np.concatenate(
            [np.flatnonzero(piece == NEWLINE) + start for start, piece in self._pieces()] or [np.empty(0, np.int64)]
        )
        return ends if self.block.endswith(b"\n") else np.append(ends, len(self.block))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each line starts: int64[n]."""
        return np.append(0, self.ends[:-1] + 1)

    def counted(self, character: int) -> int:
        """Return how often a character occurs; of a frequent one several times faster than `bytes.count`."""
        return sum(int(np.count_nonzero(piece == character)) for _, piece in self._pieces())

    def _pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the bytes in pieces that stay in the cache, which is several times faster."""
        return ((start, self.text[start : start + CACHED]) for start in range(0, len(self.text), CACHED))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, line: int) -> bytes:
        return self.block[self.starts[line] : self.ends[line]]

    def halves(self) -> tuple[Lines, Lines]:
        """Return the first and the second half of the lines."""
        middle = len(self) // 2
        cut = int(self.starts[middle])
        return Lines(self.block[:cut], self.first), Lines(self.block[cut:], self.first + middle)

    def without(self, lines: np.ndarray) -> bytes:
        """Return the block with some lines overwritten by blanks: bool[n] says which."""
        if not lines.any():
            return self.block
        blanked = bytearray(self.block)
        for line in np.flatnonzero(lines).tolist():
            start, end = self.starts[line], self.ends[line]
            blanked[start:end] = b" " * (end - start)
        return bytes(blanked)

    def count(self, places: np.ndarray) -> np.ndarray:
        """Return how many of some ascending places in the block each line holds: int64[n]."""
        return np.diff(np.searchsorted(places, self.ends), prepend=0)

    @cached_property
    def blank(self) -> np.ndarray:
        """Which lines hold nothing but white space: bool[n]."""
        blank = self.ends == self.starts
        possible = ~blank & (self.ends - self.starts < SHORT)
        possible &= np.isin(self.text[np.minimum(self.starts, len(self.text) - 1)], np.frombuffer(WHITE, np.uint8))
        for line in np.flatnonzero(possible).tolist():
            blank[line] = not self[line].strip()
        return blank

    @cached_property
    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of the colons after JSON keys, and the first byte of the values behind them."""
        colons = np.flatnonzero(self.text == COLON)
        colons = colons[self.text[np.maximum(colons - 1, 0)] == QUOTE]
        last = len(self.text) - 1
        first = self.text[np.minimum(colons + 1, last)]
        return colons, np.where(first == SPACE, self.text[np.minimum(colons + 2, last)], first)

    @property
    def cells(self) -> np.ndarray:
        """How many cells of JSON each line holds that are not null: int64[n]."""
        colons, values = self.keys
        return self.count(colons[values != ord("n")])

    @property
    def odd(self) -> np.ndarray:
        """Which lines are no plain JSON record: torn, glued, blank, with bare words or unusually many strings: bool[n]."""
        last = np.maximum(self.ends - 1, self.starts).clip(max=len(self.text) - 1)
        last -= (self.text[last] == RETURN) & (last > self.starts)
        first = np.minimum(self.starts, len(self.text) - 1)
        odd = (self.ends - self.starts < 2) | (self.text[first] != ord("{")) | (self.text[last] != ord("}"))
        for brace in b"{}":
            odd |= self.count(np.flatnonzero(self.text == brace)) != 1
        colons, values = self.keys
        odd |= self.count(colons[self._bare_words()]) > 0
        strings = self.count(colons[values == QUOTE])
        return np.asarray(odd | (strings != np.bincount(strings).argmax()))

    def _bare_words(self) -> np.ndarray:
        """Which values are words that JSON does not have, `nan` among them: bool[n_keys]."""
        colons, values = self.keys
        legal = np.zeros(256, bool)
        legal[list(FIRST_BYTES_OF_VALUES)] = True
        bare = ~legal[values]
        nulls = np.flatnonzero(values == ord("n"))
        bare[nulls] = [not self.block[at + 1 : at + 6].lstrip().startswith(b"null") for at in colons[nulls].tolist()]
        return bare
