"""The units that the values of a printed column were written with, and one for all of them in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from lmdiag.metrics import TIME_UNITS, unit_scale
from lmdiag.readers.tables.column_names import metric_of
from lmdiag.readers.tables.table import Table


class ValueUnits:
    """Notes from which row on the values of a column have another unit: `900ms`, then `1.1s`."""

    def __init__(self) -> None:
        self._changes: dict[str, list[tuple[int, str]]] = {}  # column: first row of a stretch, and its unit

    def note(self, row: int, values: Mapping[str, float], units: Mapping[str, str]) -> None:
        """Note the units of a row, and of the rows behind it until another is noted; beside some values stands none."""
        for name, unit in units.items():
            changes = self._changes.setdefault(name, [(-1, "")])
            if changes[-1][1] != unit:
                changes.append((row, unit))
        for name, changes in self._changes.items():
            if changes[-1][1] and name not in units and name in values:
                changes.append((row, ""))

    def settle(self, table: Table) -> dict[str, str]:
        """Bring the values of each column to the unit that most of them have, and return these units.

        A value without a unit has that of the column, but for a share of one among percentages.
        """
        return {name: self._settled(table, name) for name in self._changes if name in table.columns}

    def _settled(self, table: Table, name: str) -> str:
        firsts, units = zip(*self._changes[name])
        rows, values = (np.asarray(side) for side in table.columns[name])
        at = np.searchsorted(firsts, rows, "right") - 1
        written = [units[k] for k in at]
        counts = Counter(unit for unit in written if unit) or Counter(units[1:])
        most = counts.most_common(1)[0][0]
        bare = np.array([not unit for unit in written], bool)
        shares = "%" in counts and bool((np.abs(values[bare]) <= 1).all())
        if len(counts) == 1 and not (shares and bare.any()):
            return most
        sizes = {unit: _size(name, unit) for unit in counts} | {"": 1.0 if shares else _size(name, most)}
        table.columns[name] = rows, values * np.array([sizes[unit] for unit in written]) / sizes[most]
        return most


def _size(name: str, unit: str) -> float:
    """Return how large a unit is in a column of this name, that of a time or a memory where nobody knows the name."""
    metric = metric_of(name)
    return unit_scale(metric, unit) if metric else TIME_UNITS.get(unit) or unit_scale("mem_bytes", unit)
