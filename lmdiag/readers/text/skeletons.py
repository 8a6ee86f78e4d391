"""Many printed lines of one text at once: where nothing but their numbers differs, the words at one place are a column.

    step 9: loss 2.5        text   "stp : loss "        words   e 9 2.5
    step 10: loss 2.25             "stp : loss "                e 10 2.25

Two translations and one split of the whole block take the place of a search in each line. Where the text differs (in lines
that pad their numbers but for blanks), or a number is missing or in another notation, nothing is read this way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import DecodeError
from msgspec.json import Decoder

_DIGITS = b"0123456789"
_ARRAY = Decoder(list[float])
_NO_DIGITS = dict.fromkeys(b"0123456789", "-")
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


class Skeleton:
    """The text of a line without its numbers: `read` are the spans of those to be read, `free` of others that may differ.

    `letters` are those that stand in numbers. Raises ValueError where a number to be read is no word of its own.
    """

    def __init__(
        self, line: str, read: Sequence[tuple[int, int]], free: Sequence[tuple[int, int]] = (), letters: bytes = b"eE"
    ) -> None:
        of_numbers = _DIGITS + b".+-" + letters
        self._to_words = bytes(byte if byte in of_numbers else ord(" ;"[byte == ord("\n")]) for byte in range(256))
        self._numbers = of_numbers + (b" " if "  " in line else b"")
        self._text = _encoded(line).translate(None, self._numbers)
        self._words = self._words_of(line)
        self._read = [self._word_at(line, start) for start, _ in read]
        if any(self._words[k] != _encoded(line[slice(*span)]) for k, span in zip(self._read, read)):
            raise ValueError("a number is no word of its own")
        for start, stop in free:
            line = line[:start] + line[start:stop].translate(_NO_DIGITS) + line[stop:]
        self._fixed = [any(byte in _DIGITS for byte in word) for word in self._words_of(line)]
        self._others = [k for k in range(len(self._words)) if k not in self._read]

    def _words_of(self, text: str) -> list[bytes]:
        return _encoded(text).translate(self._to_words).split()

    def _word_at(self, line: str, start: int) -> int:
        """Return which word a number is in."""
        before = _encoded(line[:start]).translate(self._to_words)
        return len(before.split()) - (before != b"" and not before.endswith(b" "))

    def columns(self, lines: str) -> list[np.ndarray] | None:
        """Return the numbers of lines that have this text, float64[n_lines] each; None where that is not sure.

        >>> skeleton = Skeleton("step 9: loss 2.5", [(5, 6), (13, 16)])
        >>> [column.tolist() for column in skeleton.columns("step 10: loss 2.25\\nstep 11: loss 2.0")]
        [[10.0, 11.0], [2.25, 2.0]]
        >>> skeleton.columns("step 10: loss nan"), skeleton.columns("step 10: loss 2")
        (None, None)
        """
        text = _encoded(lines)
        n = text.count(b"\n") + 1
        if text.translate(None, self._numbers) != b"\n".join([self._text] * n):
            return None
        words, width = text.replace(b"\n", b" \n ").translate(self._to_words).split(), len(self._words) + 1
        if len(words) != n * width - 1 or words[width - 1 :: width] != [b";"] * (n - 1):
            return None
        if any(not _alike(words[k::width], self._words[k], self._fixed[k]) for k in self._others):
            return None
        columns = [_numbers(words[k::width], self._words[k]) for k in self._read]
        found = [column for column in columns if column is not None]
        return found if len(found) == len(columns) else None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _alike(words: list[bytes], word: bytes, fixed: bool) -> bool:
    """Tell whether all words are this one, or as long ones of digits where it may be a time or a date."""
    if words.count(word) == len(words):
        return True
    shape = word.translate(_ZEROS)
    return (
        not fixed
        and len(word) > 1
        and b"0" in shape
        and b" ".join(words).translate(_ZEROS) == b" ".join([shape] * len(words))
    )


def _numbers(words: list[bytes], word: bytes) -> np.ndarray | None:
    """Return the values of words in the notation of this one: whole numbers, or ones with a point."""
    n, joined = len(words), b",".join(words)
    if not (joined.replace(b",", b"").isdigit() if word.isdigit() else joined.count(b".") == n):
        return None
    try:
        return floats(words, b"[%b]" % joined)
    except ValueError:
        return None


def floats(words: Sequence[str] | Sequence[bytes], array: str | bytes) -> np.ndarray:
    """Return the values of words that also stand in a JSON array: its parser takes a fifth of the time of `float`.

    >>> floats(["1", "2.5"], "[1,2.5]").tolist(), floats(["+1", "2.", "1"], "[+1,2.,1]").tolist()
    ([1.0, 2.5], [1.0, 2.0, 1.0])
    """
    n = len(words)
    if n and words[0] == words[-1] and words.count(words[0]) == n:
        return np.full(n, float(words[0]))
    try:
        return np.fromiter(_ARRAY.decode(array), np.float64, n)
    except DecodeError:
        return np.fromiter(map(float, words), np.float64, n)
