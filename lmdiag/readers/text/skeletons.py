"""Many printed lines of one text at once: where nothing but their numbers differs, the words at one place are a column.

    step 9: loss 2.5        text   "stp : loss "        words   e 9 2.5
    step 10: loss 2.25             "stp : loss "                e 10 2.25

Two translations and one split of the whole block take the place of a search in each line. Where the text differs (in lines
that pad their numbers but for blanks), or a number is missing or in another notation, nothing is read this way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_OF_NUMBERS = b"0123456789.+-eE"
_WORDS = bytes(byte if byte in _OF_NUMBERS else ord(";") if byte == ord("\n") else ord(" ") for byte in range(256))
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


class Skeleton:
    """The text of a line without its numbers: `read` are the spans of those to be read, `free` of others that may differ.

    Raises ValueError where a number to be read is no word of its own.
    """

    def __init__(self, line: str, read: Sequence[tuple[int, int]], free: Sequence[tuple[int, int]] = ()) -> None:
        self._numbers = _OF_NUMBERS + (b" " if "  " in line else b"")
        self._text = _encoded(line).translate(None, self._numbers)
        self._words = _encoded(line).translate(_WORDS).split()
        self._read = [_word_at(line, start) for start, _ in read]
        if any(self._words[k] != _encoded(line[slice(*span)]) for k, span in zip(self._read, read)):
            raise ValueError("a number is no word of its own")
        for start, stop in free:
            line = line[:start] + "-" * (stop - start) + line[stop:]
        self._fixed = [any(byte in b"0123456789" for byte in word) for word in _encoded(line).translate(_WORDS).split()]
        self._others = [k for k in range(len(self._words)) if k not in self._read]

    def columns(self, lines: Sequence[str]) -> list[np.ndarray] | None:
        """Return the numbers of lines that have this text, float64[n_lines] each; None where that is not sure.

        >>> skeleton = Skeleton("step 9: loss 2.5", [(5, 6), (13, 16)])
        >>> [column.tolist() for column in skeleton.columns(["step 10: loss 2.25", "step 11: loss 2.0"])]
        [[10.0, 11.0], [2.25, 2.0]]
        >>> skeleton.columns(["step 10: loss nan"]), skeleton.columns(["step 10: loss 2"])
        (None, None)
        """
        text, n = _encoded("\n".join(lines)), len(lines)
        if text.translate(None, self._numbers) != b"\n".join([self._text] * n):
            return None
        words, width = text.replace(b"\n", b" \n ").translate(_WORDS).split(), len(self._words) + 1
        if len(words) != n * width - 1 or words[width - 1 :: width] != [b";"] * (n - 1):
            return None
        if any(not _alike(words[k::width], self._words[k], self._fixed[k]) for k in self._others):
            return None
        columns = [_numbers(words[k::width], self._words[k]) for k in self._read]
        found = [column for column in columns if column is not None]
        return found if len(found) == len(columns) else None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _word_at(line: str, start: int) -> int:
    """Return which word a number is in."""
    before = _encoded(line[:start]).translate(_WORDS)
    return len(before.split()) - (before != b"" and not before.endswith(b" "))


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
    n, joined = len(words), b"".join(words)
    if not (joined.isdigit() if word.isdigit() else joined.count(b".") == n):
        return None
    if words[0] == words[-1] and words.count(words[0]) == n:
        return np.full(n, float(words[0]))
    try:
        return np.fromiter(map(float, words), np.float64, n)
    except ValueError:
        return None
