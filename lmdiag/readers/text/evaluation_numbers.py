"""The numbers of evaluations, as in `eval 3 | loss 2.5`: steps of the training, a count of evaluations, or sets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lmdiag.readers.tables.column_names import metric_of
from lmdiag.readers.tables.table import EPOCH, STEP, Table


def settle(table: Table, lines: set[int]) -> None:
    """Place the evaluations of these lines at the training step above them, unless their numbers are steps that fit there.

    In a log that counts epochs alone, the numbers are those.
    """
    rows = np.flatnonzero(np.isin(np.asarray(table.lines), list(lines)))
    steps = table.cells(STEP)
    numbers = steps[rows]
    steps[rows] = np.nan
    trained = np.flatnonzero(~np.isnan(steps))
    if len(rows) and not len(trained) and EPOCH in table.columns:
        epochs = table.cells(EPOCH)
        if np.isnan(epochs[rows]).any() or (np.diff(numbers) > 0).all():
            epochs[rows] = numbers
            table.put(EPOCH, epochs)
        elif len(np.unique(numbers)) > 1:
            _name_sets(table, rows, numbers)
        del table.columns[STEP]
    group = np.searchsorted(trained, rows)  # how many training steps stand above
    if not (group > 0).any():
        return
    of_training = steps[trained]
    above, below = of_training[np.maximum(group, 1) - 1], np.append(of_training, -1.0)[group]
    stride = np.median(np.abs(np.diff(of_training))) if len(trained) > 1 else 0.0
    fits = (above - 1 <= numbers) & (numbers <= np.maximum(above + stride, below))
    if fits[group > 0].mean() > 0.5:
        return
    steps[rows] = above
    table.put(STEP, steps)
    told = np.unique(np.column_stack((group, numbers)), axis=0)
    evaluated = len(np.unique(group))
    counts = len(told) == evaluated or (evaluated > 1 and bool((np.diff(told[:, 1]) > 0).all()))
    if not counts:
        _name_sets(table, rows, numbers)
    said = "whose number is no step" if counts else "numbered by their set"
    many = f"{len(rows):,} evaluations {said} stand at the training step above them"
    table.notes.append(f"1 evaluation {said} stands at the training step above it" if len(rows) == 1 else many)


def _name_sets(table: Table, rows: np.ndarray, numbers: np.ndarray) -> None:
    """Give evaluations with several numbers at one step a set each: `val 0 loss` becomes `val set_0 loss`."""
    of_set = np.full(len(table.lines), np.nan)
    of_set[rows] = numbers
    for name in [name for name in table.columns if name.startswith(("val ", "test "))]:
        split, _, measure = name.partition(" ")
        cells = table.cells(name)
        for number in np.unique(numbers):
            table.put(f"{split} set_{number:g} {measure}", np.where(of_set == number, cells, np.nan))
        table.put(name, np.where(np.isnan(of_set), cells, np.nan))
    for name in [name for name, (at, _) in table.columns.items() if not len(at)]:
        del table.columns[name]


def place_in_run(table: Table) -> None:
    """Place evaluations whose steps start again in each epoch, where those of the training do not, at the training step above them."""
    if STEP not in table.columns or EPOCH not in table.columns:
        return
    steps, epochs = table.cells(STEP), table.cells(EPOCH)
    trained, evaluated = np.zeros(len(steps), bool), np.zeros(len(steps), bool)
    for name, (at, _) in table.columns.items():
        metric = metric_of(name)
        trained[at] |= metric in ("loss", "train/loss")
        evaluated[at] |= metric.endswith("/loss") and metric != "train/loss"
    rows, above = np.flatnonzero(evaluated & ~trained & ~np.isnan(steps)), np.flatnonzero(trained & ~np.isnan(steps))
    back = np.diff(steps[rows]) < 0
    if not back.any() or not (np.diff(epochs[rows])[back] > 0).all() or (np.diff(steps[above]) < 0).any():
        return
    group = np.searchsorted(above, rows)
    if not (group > 0).all():
        return
    steps[rows] = steps[above[group - 1]]
    table.put(STEP, steps)
    table.notes.append(
        f"{len(rows):,} evaluations whose steps start again in each epoch stand at the training step above them"
    )


def are_of_epochs(table: Table, losses: Iterable[str]) -> bool:
    """Tell whether a few losses without a place stand below the epochs that they are of: these are two, or a loss is not finite."""
    epochs = np.unique(table.cells(EPOCH))
    values = np.concatenate([table.columns[name][1] for name in losses if name in table.columns] or [[]])
    return not np.isnan(epochs).any() and (len(epochs) > 1 or not np.isfinite(values).all())
