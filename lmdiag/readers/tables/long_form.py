"""Tables in long form: one row for each value, which says what it is of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lmdiag.readers.tables.rows import Rows

NAMES = ("metric", "key", "tag", "name", "variable", "metric_name")
VALUES = ("value", "metric_value")


def is_long(names: Iterable[str]) -> bool:
    """Tell whether columns of these names hold the names of metrics and their values."""
    plain = [name.lower() for name in names]
    return any(n in NAMES for n in plain) and any(n in VALUES for n in plain) and not any("loss" in n for n in plain)


def widened(rows: Rows) -> Rows:
    """Return rows of (step, metric, value) as rows with a column for each metric, other rows as they are."""
    names = [*rows.numbers, *rows.words, *(name for name in rows.empty if name not in rows.words)]
    if not is_long(names):
        return rows
    metric = next((name for name in rows.words if name.lower() in NAMES), "")
    value = next(name for name in names if name.lower() in VALUES)
    cells: dict[str, dict[int, Any]] = {
        name: dict(zip(column.rows.tolist(), column.values.tolist())) for name, column in rows.columns.items()
    }
    for name, (at, words) in rows.words.items():
        cells.setdefault(name, {}).update(zip(at, words))
    of_what, values = cells.pop(metric, {}), cells.pop(value, {})
    wide = Rows(
        lists=rows.lists,
        skips=list(rows.skips),
        more_skips=rows.more_skips,
        empty=rows.empty - {value},
        tally=rows.tally,
    )
    for row, line in enumerate(rows.lines):
        record = {name: column[row] for name, column in cells.items() if row in column}
        wide.add({**record, of_what.get(row, value): values.get(row)}, line)
    return wide
