"""A column of numbers that grows by blocks of rows, which are kept as they came until somebody asks, or by one row."""

from __future__ import annotations

from array import array

import numpy as np
from msgspec import Struct, field

FEW = 64  # rows: the arrays of a shorter block would take more memory than its numbers

Part = tuple[np.ndarray, np.ndarray]  # rows: int64[n], and the numbers in them: float64[n]
# By the identities of parts, which are kept alive
KnownRows = dict[tuple[int, ...], tuple[np.ndarray, list[np.ndarray]]]


class GrowingColumn(Struct):
    """The numbers of a column so far: `parts`, of which there are `kept` numbers, and those that came later in `rows` and `values`.

    >>> column = GrowingColumn()
    >>> column.extend(np.arange(100), np.zeros(100)); column.add(100, 1.5)
    >>> len(column), column.joined({})[1][-2:].tolist()
    (101, [0.0, 1.5])
    """

    parts: list[Part] = field(default_factory=list)
    kept: int = 0
    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return self.kept + len(self.rows)

    def add(self, row: int, value: float) -> None:
        """Append the number of a row."""
        self.rows.append(row)
        self.values.append(value)

    def extend(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Append the numbers of some rows; both arrays are kept, and must not change."""
        if len(rows) < FEW:
            self.rows.frombytes(rows.tobytes())
            self.values.frombytes(values.tobytes())
        else:
            self._keep_later()
            self.parts.append((rows, values))
            self.kept += len(rows)

    def joined(self, known: KnownRows) -> Part:
        """Return all rows, in order, and their numbers; columns whose parts share their rows share them all, found in `known`."""
        self._keep_later()
        of_parts = [rows for rows, _ in self.parts]
        values = _concatenated([values for _, values in self.parts])
        same = tuple(map(id, of_parts))
        rows = known[same][0] if same in known else _concatenated(of_parts)
        if same not in known and (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            rows, values = rows[order], values[order]
        else:
            known[same] = rows, of_parts
        self.parts = [(rows, values)]
        return self.parts[0]

    def _keep_later(self) -> None:
        if self.rows:
            self.parts.append((np.array(self.rows, np.int64), np.array(self.values, np.float64)))
            self.kept += len(self.rows)
            self.rows, self.values = array("q"), array("d")


def _concatenated(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
