"""One log that holds several runs -> one log for each, named."""

from __future__ import annotations

from functools import reduce

import numpy as np
from msgspec.structs import replace

from lmdiag.gather.arranged import Arranged
from lmdiag.gather.restarts import begins_anew, loss_jumps, losses_repeat, restarts
from lmdiag.readers.rawlog import RawLog, part
from lmdiag.stats.returning import loss_returns

RUN_WORDS = ("run_id", "run", "run_name", "experiment", "experiment_name", "exp_name", "trial", "config_name")
RUN_NUMBERS = ("run", "run_id", "trial", "trial_id", "seed", "fold", "hyperparameter_value", "member", "replica")
RANKS = ("rank", "global_rank", "world_rank", "local_rank", "process_index", "process_rank")
FEWEST_ROWS = 2
SOON = 2 / 3  # of the steps of the next attempt: what ended before was no training of its own
SAME_STEPS = 0.5  # share of the steps of the shortest rank


def separate(log: Arranged) -> list[Arranged]:
    """Split a log by a column that names runs, else where counter and loss both return to their beginning."""
    if log.raw.spans:
        return [log]
    column, parts = _by_name(log)
    parts = parts or _by_restart(log)
    return [Arranged(part(log.raw, rows, label, column)) for label, rows in parts] if len(parts) > 1 else [log]


def ranks_of(raw: RawLog) -> dict[int, RawLog]:
    """Return the records of each rank of a log with a column of ranks, 0, 1, …, of which each counts the same steps; else none."""
    for name in RANKS if not raw.spans else ():
        column = raw.columns.get(name)
        if column is None or len(column.rows) < raw.n_rows:
            continue
        ranks = np.unique(column.values)
        if 1 < len(ranks) <= raw.n_rows // FEWEST_ROWS and np.array_equal(ranks, np.arange(len(ranks))):
            parts = {rank: part(raw, np.flatnonzero(column.values == rank), "", name) for rank in range(len(ranks))}
            parts = {rank: _without_column(one, name) for rank, one in parts.items()}
            counted = [Arranged(one).axis for one in parts.values()]
            if all(axis.kind != "record" for axis in counted) and _count_alike([axis.steps for axis in counted]):
                return parts
    return {}


def _count_alike(steps: list[np.ndarray]) -> bool:
    """Tell whether all count mostly the same steps, as far as each came."""
    shared = reduce(np.intersect1d, steps)
    return len(shared) > SAME_STEPS * min(len(np.unique(of_one)) for of_one in steps)


def _without_column(raw: RawLog, ranks: str) -> RawLog:
    return replace(raw, names={**raw.names, ranks: None})


def _by_name(log: Arranged) -> tuple[str, list[tuple[str, np.ndarray]]]:
    """Return the column that names runs, and the rows of each."""
    raw = log.raw
    for name in RUN_WORDS:
        rows, words = raw.texts.get(name, (np.empty(0, np.int64), []))
        if len(rows) == raw.n_rows:
            found = _groups(np.asarray(words))
            if len(found) > 1 and all(len(rows) >= FEWEST_ROWS for _, rows in found):
                return name, found
    for name in RUN_NUMBERS:
        column = raw.columns.get(name)
        if column is not None and len(column.rows) == raw.n_rows:
            found = [(f"{name}={label.removesuffix('.0')}", rows) for label, rows in _groups(column.values)]
            if 1 < len(found) <= raw.n_rows // FEWEST_ROWS and _begins_again_in_each(log, found):
                return name, found
    return "", []


def _groups(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    values, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return [(str(values[k]), np.flatnonzero(inverse == k)) for k in np.argsort(first)]


def _begins_again_in_each(log: Arranged, parts: list[tuple[str, np.ndarray]]) -> bool:
    """Tell whether each part counts steps of its own, so that the number names a run and is no schedule."""
    steps = log.axis
    if steps.kind == "record":
        return False
    firsts = [steps.steps[rows[0]] for _, rows in parts]
    lasts = [steps.steps[rows[-1]] for _, rows in parts]
    return all(first < last for first, last in zip(firsts[1:], lasts))


def _by_restart(log: Arranged) -> list[tuple[str, np.ndarray]]:
    """Split at restarts from nothing; attempts that soon ended, each of which the next leaves far behind, are one run with the last."""
    main = log.main
    if main is None or log.axis.kind == "record":
        return []
    steps = log.axis.steps[main.column.rows]
    of_epochs = log.axis.kind == "epoch"
    starts = np.flatnonzero(np.diff(steps) < 0) + 1 if of_epochs else restarts(steps)
    if not len(starts):
        return []
    values, anew = main.column.values, begins_anew(steps, starts)
    stages = all(anew) and all(loss_jumps(values, starts)) and not any(losses_repeat(steps, values, starts))
    if not stages:
        starts = starts[np.asarray(anew) & np.asarray(loss_returns(values, starts, of_epochs=of_epochs))]
        starts = _behind_trainings(steps, starts)
        if not len(starts):
            return []
    bounds = [0, *main.column.rows[starts].tolist(), log.raw.n_rows]
    return [(str(number), np.arange(a, b)) for number, (a, b) in enumerate(zip(bounds, bounds[1:]), 1)]


def _behind_trainings(steps: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the restarts before which a training got as far as some other did: all, if one is; else none is another run."""
    lasts = [float(piece.max()) for piece in np.split(steps, starts)]
    return starts if any(before > SOON * after for before, after in zip(lasts, lasts[1:])) else starts[:0]
