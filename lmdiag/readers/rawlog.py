"""What every reader returns, and what it reads from.

A reader knows one format and nothing of metrics: it hands over rows under the source's own names. `gather` translates
names, units, steps, splits and segments once for all formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from lmdiag.readers.tables.tally import Tally
from lmdiag.run import Event, Skipped
from lmdiag.sources.source import HEAD_BYTES, Source

__all__ = ["HEAD_BYTES", "Column", "RawLog", "Source"]


class Column(Struct, frozen=True):
    """The numbers of one source column: `values[i]` stood in row `rows[i]`. Rows without a value are not listed.

    `rows` is int64[n], ascending; `values` is float64[n] and may hold NaN and infinities that were logged as such.
    """

    rows: np.ndarray
    values: np.ndarray


class RawLog(Struct, frozen=True):
    """One run as one reader found it: rows of named numbers, what was said beside them, and what was skipped.

    `columns` holds the numbers, `texts` the words ({name: (rows, words)}: `split`, `type`, …). `lines` is int64[n_rows],
    the line of the source on which each row stands, where that is known. `config` uses the header names of
    `lmdiag-log/1`; `settings` are those of the program, under its own names.

    The conventions of a format that `gather` needs to know:
    `step_column` is the column that counts steps ("" lets `gather` choose by name, else rows are counted);
    `step_kind` says what it counts; `step_offset` is added to reach "optimizer updates completed";
    `names` translates columns that `metrics.spelling` would not know or would get wrong, `None` drops a column;
    `units` says which unit a column has, which mostly says how to reach the unit of its metric (`metrics.unit_scale`);
    `scales` multiplies columns by other factors;
    `origins` says of a converted log, by metric, what the first log called the values (`name`, `unit`, `decimals`, `reduction`);
    `spans` are the first and last steps of its segments: its steps are settled, and it is one run;
    `unused` says of columns that are not handed over, or dropped by `names`, why, "" of those without a value; `run_column` which column told this run
    from others; `called` the columns that words of the log became; `tally` what the lines of the source were;
    `spread` says that the steps of its evaluations are guessed, evenly among the records;
    `reductions` says which columns are window means (`window_mean`), epoch means (`epoch_mean`) or EMAs (`ema`).
    """

    format: str
    name: str
    columns: Mapping[str, Column]
    n_rows: int
    source: str = ""
    texts: Mapping[str, tuple[np.ndarray, list[str]]] = field(default_factory=dict)
    lines: np.ndarray | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    objective: str = ""
    method: str = ""
    step_column: str = ""
    step_kind: str = "step"
    step_offset: int = 0
    names: Mapping[str, str | None] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    reductions: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()
    unused: Mapping[str, str] = field(default_factory=dict)
    run_column: str = ""
    called: Mapping[str, str] = field(default_factory=dict)
    tally: Tally | None = None
    spread: bool = False


def part(raw: RawLog, rows: np.ndarray, label: str, run_column: str = "") -> RawLog:
    """Return the rows that belong to one run; what was skipped is told once, with the run of the first row."""
    columns = {name: Column(*part) for name, part in _cut(raw, rows)}
    texts = {}
    for name, (at, words) in raw.texts.items():
        near, inside, new_rows = _within(np.asarray(at), rows)
        texts[name] = (new_rows, [word for word, keep in zip(words[near], inside) if keep])
    first = 0 in rows
    return replace(
        raw,
        name=f"{raw.name}#{label}" if label else raw.name,
        columns=columns,
        texts=texts,
        n_rows=len(rows),
        lines=None if raw.lines is None else raw.lines[rows],
        skipped=raw.skipped if first else (),
        unused={**{name: "" for name in raw.columns if name not in columns}, **raw.unused},
        run_column=run_column,
        notes=(*raw.notes, f"{raw.name} holds several runs; this is {label}.") if label else raw.notes,
    )


def in_order(raw: RawLog, order: np.ndarray) -> RawLog:
    """Return the log with its rows in another order: `order` names the rows of this one, int64[n_rows]."""
    place = np.empty(raw.n_rows, np.int64)
    place[order] = np.arange(raw.n_rows)
    moved: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # columns share their rows, and are told apart by these later
    columns, texts = {}, {}
    for name, column in raw.columns.items():
        if id(column.rows) not in moved:
            by = np.argsort(place[column.rows])
            moved[id(column.rows)] = by, place[column.rows][by]
        by, rows = moved[id(column.rows)]
        columns[name] = Column(rows, column.values[by])
    for name, (at, words) in raw.texts.items():
        by = np.argsort(place[at])
        texts[name] = place[at][by], [words[k] for k in by]
    return replace(raw, columns=columns, texts=texts, lines=None if raw.lines is None else raw.lines[order])


def _cut(raw: RawLog, rows: np.ndarray) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    cut: dict[int, tuple[slice, np.ndarray, np.ndarray]] = {}
    for name, column in raw.columns.items():
        if id(column.rows) not in cut:
            cut[id(column.rows)] = _within(column.rows, rows)
        near, inside, new_rows = cut[id(column.rows)]
        if len(new_rows):
            yield name, (new_rows, column.values[near][inside])


def _within(at: np.ndarray, rows: np.ndarray) -> tuple[slice, np.ndarray, np.ndarray]:
    """Return where a column's rows may be among `rows`, which of those are, and as the how manieth; both ascend.

    What lies outside is not looked at: a log of many parts is cut as often.
    """
    near = slice(*np.searchsorted(at, np.array([rows[0], rows[-1] + 1], at.dtype)).tolist()) if len(rows) else slice(0)
    place = np.searchsorted(rows, at[near])
    inside = rows[place] == at[near]
    return near, inside, place[inside]
