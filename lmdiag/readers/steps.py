"""Which step each row of a log belongs to, and where the step counter goes back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lmdiag.metrics import step_rank
from lmdiag.readers.rawlog import RawLog
from lmdiag.stats.windows import distinct, median

MOSTLY = 0.5
LARGEST_STEP = 2.0**62
DISTINCT_STEPS = 0.6  # with fewer the counter starts again each epoch


@dataclass(frozen=True)
class Axis:
    """The step of each row: int64[n_rows]; what the steps count; the column they come from; what to tell the reader."""

    steps: np.ndarray
    kind: str
    column: str = ""
    notes: tuple[str, ...] = field(default=())


def axis(raw: RawLog) -> Axis:
    """Find the steps of all rows: the column of steps, else of tokens, samples or epochs, else the rows are counted."""
    column = raw.step_column or _best_counter(raw)
    if column and column in raw.columns:
        return Axis(_filled(raw, column) + raw.step_offset, raw.step_kind, column)
    for kind, names in (("tokens", TOKEN_NAMES), ("samples", SAMPLE_NAMES), ("epoch", ("epoch", "epochs"))):
        for name in raw.columns:
            if _plain(name) in names and _counts(raw, name):
                return Axis(_filled(raw, name), kind, name, (f'The log has no steps; "{name}" stands in for them.',))
    return Axis(np.arange(1, raw.n_rows + 1), "record", "", ("The log has no steps; its records are counted instead.",))


TOKEN_NAMES = (
    "throughput/total_tokens",
    "total_tokens",
    "tokens",
    "tokens_seen",
    "consumed_tokens",
    "num_tokens",
    "time/token",
)
SAMPLE_NAMES = ("samples_count", "consumed_samples", "samples", "time/sample")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").removeprefix("train/")


def _best_counter(raw: RawLog) -> str:
    """Choose among the columns that are named like steps: one that ascends, then the one that stands first in the order of names."""
    named = sorted((step_rank(name), name) for name in raw.columns if step_rank(name) is not None)
    usable = [name for _, name in named if _counts(raw, name)]
    ascending = [name for name in usable if _ascends(raw.columns[name].values)]
    return next(iter(ascending + usable), "")


def _counts(raw: RawLog, name: str) -> bool:
    """Tell whether a column holds whole numbers, more than one, in enough of the rows."""
    column = raw.columns[name]
    values = column.values[np.isfinite(column.values)]
    if len(values) == 0 or len(values) < 0.9 * len(column.values) or np.abs(values).max() > LARGEST_STEP:
        return False
    whole = np.mean(values == np.rint(values)) > 0.9
    varies = raw.n_rows == 1 or values.min() < values.max() or _plain(name) in ("step", "global_step")
    return bool(whole and varies) and len(values) >= MOSTLY * _rows_with_loss(raw)


def _rows_with_loss(raw: RawLog) -> int:
    return max((len(c.rows) for name, c in raw.columns.items() if "loss" in name.lower()), default=0)


def _ascends(values: np.ndarray) -> bool:
    return len(values) < 2 or float(np.mean(np.diff(values) < 0)) <= 0.02


def _filled(raw: RawLog, name: str) -> np.ndarray:
    """The steps of all rows: a row without one has that of the row before it, the first rows that of the row after."""
    column = raw.columns[name]
    good = np.abs(column.values) < LARGEST_STEP  # false for NaN
    if good.all() and len(column.rows) == raw.n_rows:
        return np.rint(column.values).astype(np.int64)
    rows, values = column.rows[good], np.rint(column.values[good]).astype(np.int64)
    if not len(rows):
        return np.arange(1, raw.n_rows + 1)
    before = np.searchsorted(rows, np.arange(raw.n_rows), side="right") - 1
    return values[np.maximum(before, 0)]


def restarts(steps: np.ndarray) -> np.ndarray:
    """Return the indices at which the counter goes back by more than one interval and goes on from there.

    A single record out of its place, such as a late evaluation or a last summary, is no restart.

    >>> restarts(np.array([10, 20, 30, 20, 30, 40])), restarts(np.array([10, 20, 30, 5, 40, 50]))
    (array([], dtype=int64), array([], dtype=int64))
    >>> restarts(np.array([10, 20, 30, 40, 10, 20, 30, 40, 50]))
    array([4])
    """
    jumps = np.diff(steps)
    if len(jumps) == 0 or jumps.min() >= 0:
        return np.empty(0, np.int64)
    interval = median(jumps[jumps > 0]) if (jumps > 0).any() else 0
    back = np.flatnonzero(jumps < -interval)
    after = np.minimum(back + 2, len(steps) - 1)
    lasting = (back + 2 < len(steps)) & (steps[after] < steps[back])
    return back[lasting] + 1


def counter_repeats(steps: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether so few steps are distinct that the counter must start again each epoch.

    Records that repeat step and value, as in a log that polls another one, count once.

    >>> counter_repeats(np.array([1, 2, 1, 2, 1, 2]), np.array([6.0, 5, 4, 3, 2, 1]))
    True
    >>> counter_repeats(np.array([1, 1, 1, 2, 2, 2]), np.array([6.0, 6, 6, 3, 3, 3]))
    False
    """
    n_distinct = len(distinct(steps))
    if n_distinct >= DISTINCT_STEPS * len(steps):
        return False
    pairs = np.unique(np.stack([steps, np.ascontiguousarray(values).view(np.int64)]), axis=1)
    return n_distinct < DISTINCT_STEPS * pairs.shape[1]


def begins_anew(steps: np.ndarray, starts: np.ndarray) -> list[bool]:
    """Tell for each restart whether the counter begins from nothing again, and not from a checkpoint.

    >>> begins_anew(np.array([10, 20, 30, 10, 20, 30]), np.array([3]))
    [True]
    """
    pieces = np.split(steps, starts)
    return [len(p) > 1 and bool(p[0] <= steps[0] + 2 * median(np.diff(p))) for p in pieces[1:]]


def loss_returns(values: np.ndarray, starts: np.ndarray) -> list[bool]:
    """Tell for each restart whether the loss is back where the log began, as when another run begins.

    >>> loss_returns(np.array([9.0, 6, 4, 8.8, 6, 4]), np.array([3])), loss_returns(np.array([9.0, 6, 4, 4, 3, 2]), np.array([3]))
    ([True], [False])
    """
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return [False] * len(starts)
    first = values[finite[0]]
    returned = []
    for start in starts:
        after, before = values[finite[finite >= start]], values[finite[finite < start]]
        before_it = median(before[-3:]) if len(before) else first
        returned.append(len(after) > 0 and bool(abs(after[0] - first) < 0.25 * abs(first - before_it)))
    return returned
