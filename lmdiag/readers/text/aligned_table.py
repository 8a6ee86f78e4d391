"""Tables that are printed row by row under a head of names, as fastai and notebooks do."""

from __future__ import annotations

import re

from lmdiag.metrics import is_step_name
from lmdiag.readers.text.family import Family
from lmdiag.readers.text.lexing import NUM, number
from lmdiag.readers.text.pair_scanner import name_columns
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.table import EPOCH, STEP, Table

_NUMBER = lazy(rf"{NUM}$")
_MISSING = lazy(r"(?:-+|None|NA|n/a|#na#|\d+:\d\d(?::\d\d)?)$", re.IGNORECASE)
_HEAD = lazy(
    r"^\s*(?:epoch|step|iter\w*)\b(?:[\s|]+[A-Za-z_][\w./-]*)*[\s|]+\w*loss\w*(?:[\s|]+[A-Za-z_][\w./-]*)*[\s|]*$",
    re.IGNORECASE,
)


class AlignedTableScanner:
    """Reads rows of as many words as the head has; one that does not fit is counted as skipped when it begins alike."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._names: list[str] = []

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a head or a row."""
        if _HEAD.match(piece):
            self._names = piece.replace("|", " ").split()
            return True
        words = piece.replace("|", " ").split()
        if not self._names or not words or not words[0].isdigit():
            return False
        cells = {n: number(w) for n, w in zip(self._names, words) if _NUMBER.match(w)}
        known = sum(bool(_NUMBER.match(word) or _MISSING.match(word)) for word in words)
        if len(words) != len(self._names) or known < len(words):
            self._table.skip(line, f"not a row of the table above: {piece.strip()[:80]}")
            return True
        counter = self._names[0]
        cells[STEP] = cells.pop(counter)
        self._table.add(line, cells)
        return True

    def finish(self) -> None:
        """Say what the first column counts."""
        if self._names and not is_step_name(self._names[0]) and self._names[0].lower() == EPOCH:
            self._table.config["step_kind"] = "epoch"
        name_columns(self._table, {})


ALIGNED_TABLE = Family("aligned-table", "Table under a head of names", AlignedTableScanner, (("oss", _HEAD),))
