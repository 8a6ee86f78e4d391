"""Which step each row of a log belongs to."""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from lmdiag.account import Skipped
from lmdiag.naming import spelling, step_rank, words_of
from lmdiag.readers.rawlog import RawLog, part

MOSTLY = 0.5
TIMESTEPS = frozenset(
    "time/total_timesteps total_timesteps misc/total_timesteps timesteps_total totalenvinteracts".split()
)
_STEPS = frozenset({"step", "steps", "iter", "batch", "update", "updates"})
WHOLE = frozenset({"global", "total"})  # before a count that goes on where that of the epoch starts again
FEWEST_STRIDES = 3  # as many alike are no accident
LARGEST_STEP = 2.0**62


class Axis(Struct, frozen=True):
    """The step of each row: int64[n_rows]; what the steps count; the column they come from; what to tell the reader."""

    steps: np.ndarray
    kind: str
    column: str = ""
    notes: tuple[str, ...] = field(default=())


def axis(raw: RawLog) -> Axis:
    """Find the steps of all rows: the column of steps, else one that grows like them, else of tokens, samples or epochs, else the rows are counted."""
    column = raw.step_column or _best_counter(raw)
    if column and column in raw.columns:
        return Axis(_filled(raw, column) + raw.step_offset, raw.step_kind, column)
    timesteps = next((name for name in raw.columns if name.lower() in TIMESTEPS and _counts(raw, name)), "")
    if timesteps:
        return Axis(_filled(raw, timesteps), "step", timesteps)
    regular = next((name for name in raw.columns if _is_regular(raw, name)), "")
    if regular:
        return Axis(_filled(raw, regular), "step", regular)
    for kind in ("tokens", "samples", "epoch"):
        for name in raw.columns:
            if spelling(name).name == kind and _counts(raw, name):
                return Axis(_filled(raw, name), kind, name, (f'The log has no steps; "{name}" stands in for them.',))
    return Axis(np.arange(1, raw.n_rows + 1), "record", "", ("The log has no steps; its records are counted instead.",))


def placed(raw: RawLog) -> RawLog:
    """Return a log without the rows at a step beyond any run, which are counted: their values belong to no other step."""
    counter = raw.columns.get(raw.step_column or _best_counter(raw))
    beyond = np.empty(0, bool) if counter is None else np.abs(counter.values) >= LARGEST_STEP  # false for NaN
    if counter is None or not beyond.any() or beyond.all():
        return raw
    rows, steps = counter.rows[beyond], counter.values[beyond]
    lines = np.zeros(len(rows)) if raw.lines is None else raw.lines[rows]
    lost = (Skipped(int(line), f"step {step:g} is no place in a run") for line, step in zip(lines, steps))
    kept = part(raw, np.setdiff1d(np.arange(raw.n_rows), rows), "")
    return replace(kept, skipped=(*raw.skipped, *lost))


def _best_counter(raw: RawLog) -> str:
    """Choose among the columns that are named like steps: one that ascends, then the one that stands first in the order of names.

    Where that goes back, as one of each epoch does, a global one that never does is the count of the run.
    """
    named = sorted((step_rank(name), name) for name in raw.columns if step_rank(name) is not None)
    usable = [name for _, name in named if _counts(raw, name)]
    ascending = [name for name in usable if _ascends(raw.columns[name].values)]
    best = next(iter(ascending + usable), "")
    of_run = (name for name in ascending if WHOLE.intersection(words_of(name)) and not _goes_back(raw, name))
    return next(of_run, best) if best and _goes_back(raw, best) else best


def _goes_back(raw: RawLog, name: str) -> bool:
    return bool((np.diff(raw.columns[name].values) < 0).any())


def _is_regular(raw: RawLog, name: str) -> bool:
    """Tell whether a column has a word for steps in its name and grows by as many with every record: `effective_batch_number`."""
    if not _STEPS.intersection(words_of(name)) or not _counts(raw, name):
        return False
    strides = np.diff(raw.columns[name].values)
    return len(strides) >= FEWEST_STRIDES and strides[0] >= 1 and bool((strides == strides[0]).all())


def _counts(raw: RawLog, name: str) -> bool:
    """Tell whether a column holds whole numbers, more than one, in enough of the rows."""
    column = raw.columns[name]
    values = column.values[np.abs(column.values) < LARGEST_STEP]
    if len(values) == 0 or len(values) < 0.9 * len(column.values):
        return False
    whole = np.mean(values == np.rint(values)) > 0.9
    varies = raw.n_rows == 1 or values.min() < values.max() or step_rank(name) in (0, 1)
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
