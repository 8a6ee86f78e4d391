"""Tables that are printed row by row under a head of names: of fastai and notebooks, in Markdown, and in boxes."""

from __future__ import annotations

import re

from lmdiag.naming import is_step_name
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.columns import name_columns
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.table import EPOCH, STEP, Table

_NUMBER = lazy(rf"\**({NUM})(%?)\**$")
_MISSING = lazy(r"(?:-*|None|NA|n/a|#na#|no log|\d+:\d\d(?::\d\d)?)$", re.IGNORECASE)
_WORDS = lazy(
    r"^\s*(?:epoch|step|iter\w*)\b(?:[\s|]+[A-Za-z_][\w./-]*)*[\s|]+\w*loss\w*(?:[\s|]+[A-Za-z_][\w./-]*)*[\s|]*$",
    re.IGNORECASE,
)
_CELLS = lazy(
    r"^\s*(?=[|│┃║]\D*$)(?=.*[|│┃║]\W*(?:epochs?|(?:global )?steps?|iter\w*)\W*[|│┃║])(?=.*(?:loss|ppl|perplexity))",
    re.IGNORECASE,
)
_EDGE = str.maketrans("│┃║", "|||")
_RULE = lazy(r"[\s|:+=─━═┼╋╇╪┌┐└┘├┤┬┴┏┓┗┛┡┩┳┻╒╕╘╛╞╡╤╧╔╗╚╝╠╣╦╩-]*$")


class AlignedTableScanner:
    """Reads rows of as many cells as the head has; one that does not fit is counted as skipped when it begins alike."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._names: list[str] = []
        self._between_bars = False
        self._over = False

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a head or a row."""
        if _CELLS.match(piece) or _WORDS.match(piece):
            self._between_bars = piece.lstrip()[0] in "|│┃║"
            self._names = self._cells(piece)
            return True
        if not self._names or _RULE.match(piece):
            return bool(self._names)
        cells = self._cells(piece)
        if self._between_bars and piece.lstrip()[0] not in "|│┃║":
            self._names, self._over = [], True
            return False
        if not cells or not (cells[0].isdigit() or (self._between_bars and len(cells) == len(self._names))):
            return False
        known = sum(bool(_NUMBER.match(cell) or _MISSING.match(cell)) for cell in cells)
        if len(cells) != len(self._names) or (known < len(cells) and not self._between_bars):
            self._table.skip(line, f"not a row of the table above: {piece.strip()[:80]}")
            return True
        self._add(line, cells)
        return True

    def _cells(self, piece: str) -> list[str]:
        if not self._between_bars:
            return piece.replace("|", " ").split()
        return [cell.strip() for cell in piece.translate(_EDGE).strip().strip("|").split("|")]

    def _add(self, line: int, cells: list[str]) -> None:
        values = {}
        for name, cell in zip(self._names, cells):
            if found := _NUMBER.match(cell):
                values[name] = number(found[1]) * (0.01 if found[2] else 1.0)
        counter = self._counter()
        values[STEP] = values.pop(counter, float("nan"))
        epoch = next((name for name in self._names if name.lower() in ("epoch", "epochs")), "")
        if epoch and epoch in values:
            values[EPOCH] = values.pop(epoch)
        if values.get(STEP) != values.get(STEP):
            return
        if self._over and self._table.last_step is not None and values[STEP] <= self._table.last_step:
            self._table.starts.append(line)  # a table of its own
        self._over = False
        if not is_step_name(counter):
            self._table.config["step_kind"] = "epoch" if counter.lower() in ("epoch", "epochs") else "record"
        self._table.add(line, values)

    def _counter(self) -> str:
        """Return the name of the column that counts: steps where there are any, else epochs, else the first."""
        epochs = [name for name in self._names if name.lower() in ("epoch", "epochs")]
        return next((name for name in self._names if is_step_name(name)), (epochs or self._names)[0])

    def finish(self) -> None:
        """Say what each column stands for."""
        name_columns(self._table, {})


ALIGNED_TABLE = LineFormat(
    "aligned-table",
    "Table under a head of names",
    AlignedTableScanner,
    (("oss", _WORDS), ("oss", _CELLS), ("erplexity", _CELLS), ("ppl", _CELLS), ("PPL", _CELLS)),
)
