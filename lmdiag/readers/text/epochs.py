"""Counters that start again every epoch -> one counter for the whole run."""

from __future__ import annotations

import numpy as np

from lmdiag.naming import evaluation_set, spelling
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table


def unroll(table: Table) -> None:
    """Give every row one step that counts through the whole run, from its step, place in the epoch, and epoch.

    Rows without a place of their own, such as an evaluation printed behind the step it was made at, take the place of
    the row before. Sets `config["step_kind"]` where the step counts something else than optimizer steps.
    """
    step, epoch, totals = table.cells(STEP), table.cells(EPOCH), np.asarray(table.totals)
    position = table.cells(POSITION)
    table.columns.pop(POSITION, None)
    if np.isfinite(position).sum() > np.isfinite(step).sum():
        step = position
        if _counts_samples(table, totals, position):
            table.config["step_kind"] = "samples"
    own = ~np.isnan(step)
    if not own.any():
        _by_epoch(table, epoch)
        return
    counted = np.isfinite(epoch).any() and (np.isnan(epoch) | (epoch == np.floor(epoch))).all()
    per_epoch = _steps_per_epoch(step, epoch, totals) if counted else 0
    if per_epoch:
        base = 1 if np.nanmin(epoch) >= 1 else 0
        whole = _filled(epoch) - base
        closing = ~own & ~np.isnan(epoch)  # an evaluation that names its epoch and no step: at the end of the epoch
        _averages_apart(table, closing, own)
        step = np.where(closing, (whole + 1) * per_epoch, step + whole * per_epoch)
        table.totals = [per_epoch * table.config.get("epochs", 0)] * len(table.totals)
    table.put(STEP, _filled(step))


def _averages_apart(table: Table, closing: np.ndarray, own: np.ndarray) -> None:
    """Leave the mean that closes an epoch out of the columns of its steps, so that it is no value of the last of them."""
    for name, (rows, values) in list(table.columns.items()):
        at = closing[np.asarray(rows, int)]
        if (
            name in (STEP, EPOCH)
            or evaluation_set(spelling(name).name)
            or not 0 < at.sum() <= own[np.asarray(rows, int)].sum()
        ):
            continue
        for part, chosen in ((name, ~at), (f"epoch {name}", at)):
            table.columns[part] = np.asarray(rows)[chosen], np.asarray(values)[chosen]


def _counts_samples(table: Table, totals: np.ndarray, position: np.ndarray) -> bool:
    """Whether places such as 640/60000 count samples: they advance in strides of more than one and never odd ones."""
    places = np.unique(position[np.isfinite(position)])
    strides = np.diff(places)
    return bool(
        len(strides) > 2 and strides.min() >= 8 and totals.max() >= 10_000 and table.config.get("percent", False)
    )


def _by_epoch(table: Table, epoch: np.ndarray) -> None:
    if np.isnan(epoch).all():
        table.config["step_kind"] = "record"
        return
    if _repeats(table, epoch):
        table.config["step_kind"] = "record"
        table.notes.append("several records of each epoch are printed without a step: records are counted")
        table.put(STEP, np.arange(1.0, len(epoch) + 1))
        table.put(EPOCH, _filled(epoch))
        return
    table.config["step_kind"] = "epoch"
    table.totals = [table.config.get("epochs", 0)] * len(table.totals)
    table.put(STEP, _filled(epoch))
    table.columns.pop(EPOCH, None)


def _repeats(table: Table, epoch: np.ndarray) -> bool:
    """Whether the fullest column holds several values of the same epoch one after the other."""
    columns = [(rows, values) for name, (rows, values) in table.columns.items() if name != EPOCH]
    fullest, values = max(columns, key=lambda column: len(column[0]), default=([], []))
    values = np.asarray(values, float)
    ranks = {rank for rank in table.ranks if rank is not None}
    if len(ranks) > 1:  # the others will be left out
        mine = [table.ranks[row] in (None, min(ranks)) for row in fullest]
        fullest, values = [row for row, own in zip(fullest, mine) if own], values[mine]
    if len(fullest) < 3:
        return False
    again = np.diff(epoch[np.asarray(fullest)]) == 0
    printed_twice = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return bool(np.mean(again) >= 0.5 and not (again & ~printed_twice).sum() < again.sum() / 2)


def _steps_per_epoch(step: np.ndarray, epoch: np.ndarray, totals: np.ndarray) -> float:
    """Return how many steps an epoch has where the counter starts again with every epoch, else 0."""
    rows = np.flatnonzero(~np.isnan(step) & ~np.isnan(epoch))
    if len(np.unique(epoch[rows])) < 2:
        return 0
    forward = np.diff(epoch[rows]) > 0
    back = (np.diff(step[rows]) < np.maximum(np.diff(epoch[rows]), 0)) | (np.unique(step[rows]).size == 1)
    counted = totals[rows]
    within = (forward & back).any() and counted.max() > 0 and step[rows].max() <= counted.max()
    if not within and (forward & ~back).sum() >= max((forward & back).sum(), 1):
        return 0
    longest = step[rows].max() + (1 if step[rows].min() == 0 else 0)
    return float(max(counted.max(), longest))


def _filled(values: np.ndarray) -> np.ndarray:
    """Carry the last known value forward, and the first one back to the beginning."""
    known = ~np.isnan(values)
    if not known.any():
        return values
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last < 0, values[known.argmax()], values[np.maximum(last, 0)])
