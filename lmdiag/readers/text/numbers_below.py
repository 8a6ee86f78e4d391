"""Named numbers on lines of their own below the records: `Wärme: 0.5`, below `loss: 2.5`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from lmdiag.readers.tables.table import ROW, Table

FEWEST, NEAR = 3, 3


@dataclass
class _Named:
    """The values of one name, and the row above each; -1 where there is none yet."""

    line: int  # of the first
    rows: array[int] = field(default_factory=lambda: array(ROW))
    values: array[float] = field(default_factory=lambda: array("d"))


@dataclass
class NumbersBelow:
    """Keeps them until all records are known: a name that recurs below them is one of their columns."""

    last_line: int = 0
    _named: dict[str, _Named] = field(default_factory=dict)

    def see(self, line: int, record: int, row: int, values: dict[str, float]) -> None:
        """Keep the numbers of a line that stands right below the last record and its row, or above all."""
        if row >= 0 and line - max(record, self.last_line) > NEAR:
            return
        for name, value in values.items():
            named = self._named.setdefault(name, _Named(line))
            named.rows.append(row)
            named.values.append(value)
        self.last_line = line

    def settle(self, table: Table) -> Iterator[tuple[int, int]]:
        """Make columns of the names that stand below the records once each; yield first line and count of other ones that recur."""
        for name, named in self._named.items():
            if len(set(named.rows) - {-1}) < FEWEST:
                continue
            once = len(set(named.rows)) == len(named.rows)
            if once and named.rows[0] >= 0 and name not in table.columns:
                table.columns[name] = named.rows, named.values
            else:
                yield named.line, len(named.rows)
