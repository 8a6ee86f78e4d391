"""Steps of records that name none: from the states of the progress bars beside them, from their epochs, else counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.readers.tables import ranks
from lmdiag.readers.tables.table import STEP, Table, filled

TOTAL_STEPS, EPOCHS, EXAMPLES, BATCH = (
    "Total optimization steps",
    "Num Epochs",
    "Num examples",
    "Total train batch size",
)
FEWEST = 3  # records of a training that is one of several
Heads = Sequence[tuple[int, Mapping[str, float]]]  # rows before, and what the head of a training says


def place(table: Table, bars: Mapping[int, np.ndarray], heads: Heads, ends: Sequence[int]) -> None:
    """Give every record a step; `ends` are the rows before the summary of each training.

    `bars` are float64[3, n_states] by the total of the bar: rows before, and the first and the last state drawn there.
    """
    at = np.concatenate([[0], np.cumsum(ranks.merge(table))])
    for rows, _, _ in bars.values():
        rows[:] = at[rows.astype(np.int64)]
    count, own, epoch = len(table.lines), table.cells(STEP), table.cells("epoch")
    evaluated = [rows for name, (rows, _) in table.columns.items() if name.startswith("eval_")]
    train = ~np.isin(np.arange(count), np.concatenate([np.zeros(0, int), *evaluated]))
    known = np.flatnonzero(~np.isnan(epoch))
    falls = np.append(known[1:][np.diff(epoch[known]) < 0], count)  # behind a summary, a further training begins
    anew = _begun_again(falls[:-1], epoch, count)
    edges = sorted({0, count, *anew, *falls[np.searchsorted(falls, at[np.asarray(ends, np.int64)])].tolist()})
    spans = list(pairwise(edges))
    of_spans = [[head for row, head in heads if at[row] <= start][-1] for start in edges]
    said = [head.get(TOTAL_STEPS) or np.max(table.totals[a:b], initial=0) for head, (a, b) in zip(of_spans, spans)]
    plans = [int(total) or _planned(bars, *span) for total, span in zip(said, spans)]
    if len(spans) > 1:
        table.totals = np.repeat(np.asarray(plans, float), np.diff(edges))
    elif any(plans):
        put_fact(table.config, "max_steps", plans[0])
    if not np.isnan(own).any():
        return
    found = [_beside_bar(bars.get(plan), a, train[a:b], epoch[a:b]) for (a, b), plan in zip(spans, plans)]
    parts, how = [part for part in found if part is not None], "the progress bar"
    if len(parts) < len(spans):
        each = _each_epoch(of_spans[0], plans[0]) if len(spans) == 1 and len(known) == count else 0.0
        parts, how = [_of_epochs(epoch, train, each, plans[0])] if each else [], "the epoch"
    if not parts and not np.isnan(own).all():
        parts, how = [filled(own)], "the records around that name one"
    if not parts and _evaluates_more(train, epoch):
        parts, how = [np.ceil(epoch)], "the epoch"
        table.config["step_kind"] = "epoch"
    if not parts:
        table.starts += [int(table.lines[row]) for row in anew]
        parts, how = [np.maximum(np.cumsum(_counted(train[a:b], epoch[a:b])), 1.0) for a, b in spans], ""
        table.config["step_kind"] = "record"
    table.put(STEP, np.where(np.isnan(own), np.concatenate(parts), own))
    counted = "the log prints no steps; its records are counted"
    table.notes.append(f"steps are inferred from {how}" if how else counted)


def _begun_again(falls: np.ndarray, epoch: np.ndarray, count: int) -> list[int]:
    """Return the rows at which the epochs begin again where the log began: each time they fall, and after a few records."""
    few = np.diff([0, *falls, count]).min() < FEWEST
    return [] if few or not (epoch[falls] <= epoch[0]).all() else falls.tolist()


def _evaluates_more(train: np.ndarray, epoch: np.ndarray) -> bool:
    """Tell whether there are more evaluations, each at the end of an epoch, than records of the training to count by."""
    at = np.unique(epoch[~train])
    return bool(len(at) > train.sum() and (at == np.round(at)).all() and not np.isnan(epoch).any())


def _counted(train: np.ndarray, epoch: np.ndarray) -> np.ndarray:
    """Tell which records count: those of the training, and an evaluation right behind one of another epoch."""
    counted = train.copy()
    counted[1:] |= ~train[1:] & ~train[:-1] & (epoch[1:] != epoch[:-1])
    if len(train) > 1:
        counted[0] |= counted[1] & ~train[1]
    return counted


def _planned(bars: Mapping[int, np.ndarray], start: int, stop: int) -> int:
    """Return how many steps the training of some rows was to take: the total of its bar, 0 where it has none."""
    shown = {total: last[slice(*np.searchsorted(rows, [start, stop + 1]))] for total, (rows, _, last) in bars.items()}
    return max(((len(np.unique(states)), total) for total, states in shown.items() if len(states)), default=(0, 0))[1]


def _each_epoch(said: Mapping[str, float], planned: int) -> float:
    """Return how many steps each epoch has, as the sizes say or else the plan, 0 where neither does."""
    epochs, batch = said.get(EPOCHS, 0), said.get(BATCH, 0)
    for rounded in (np.ceil, np.floor) if batch and planned else ():
        each = float(rounded(said.get(EXAMPLES, 0) / batch))
        if each and np.ceil(planned / each) == epochs:  # with `max_steps` the last epoch is cut
            return each
    return planned / epochs if epochs else 0.0


def _beside_bar(bar: np.ndarray | None, start: int, train: np.ndarray, epoch: np.ndarray) -> np.ndarray | None:
    """Take the steps of rows from the states of a bar before and behind them, whichever are the more regular."""
    if bar is None or not len(train):
        return None
    (rows, first, last), here = bar, start + np.arange(len(train))
    at, next_at = np.searchsorted(rows, here, side="right") - 1, np.searchsorted(rows, here + 1)
    before = np.where((at >= 0) & (rows[at] >= start) & (last[at] > 0), last[at], np.nan)  # no record stands at 0
    next_at = np.minimum(next_at, len(rows) - 1)
    behind = np.where((rows[next_at] == here + 1) & train, first[next_at], np.nan)
    behind[behind < before] = np.nan
    steps, other = (behind, before) if _regular(behind[train]) >= _regular(before[train]) else (before, behind)
    lag = (steps - other)[train & ~np.isnan(steps - other)]
    steps = np.where(np.isnan(steps), other + (np.median(lag) if len(lag) else 0.0), steps)
    latest = np.maximum.accumulate(np.where(train, np.arange(len(train)), -1))  # the training record before each row
    steps = np.where(train, steps, np.where(latest < 0, before, np.fmax(before, steps[latest])))
    if (steps > 0).mean() <= 0.9 or len(np.unique(steps[train])) < 0.8 * len(np.unique(epoch[train])):
        return None
    return np.where(steps > 0, steps, np.nanmin(steps[steps > 0]))


def _regular(steps: np.ndarray) -> tuple[float, float, int]:
    """Tell how far steps are those of a Trainer that logs every so often: equally spaced, and multiples of the spacing."""
    known = steps[~np.isnan(steps)]
    gaps = np.diff(known)
    every = float(np.median(gaps)) if len(gaps) else 0.0
    multiples = float((known % every == 0).mean()) if every > 0 else 0.0
    return float((gaps == every).mean()) if len(gaps) else 0.0, multiples, len(known)


def _of_epochs(epoch: np.ndarray, train: np.ndarray, each: float, planned: int) -> np.ndarray:
    """Return the steps at epochs that were rounded; equally spaced records of the training tell them exactly."""
    steps = np.maximum(np.round(epoch * each), 1)
    every = np.median(np.diff(steps[train])) if train.sum() > 2 else 0.0
    if every >= 1:
        snapped = np.round(steps / every) * every
        steps = np.where((np.abs(snapped - steps) <= planned * 0.01) & (snapped > 0), snapped, steps)
    return steps
