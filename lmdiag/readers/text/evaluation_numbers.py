"""The numbers of evaluations, as in `eval 3 | loss 2.5`: steps of the training, a count of evaluations, or sets."""

from __future__ import annotations

import numpy as np

from lmdiag.readers.tables.table import EPOCH, STEP, Table


def settle(table: Table, lines: set[int]) -> None:
    """Place the evaluations of these lines at the training step above them, unless their numbers are steps that fit there.

    In a log that counts epochs alone, the numbers are those.
    """
    if not lines:
        return
    rows = np.flatnonzero(np.isin(np.asarray(table.lines), list(lines)))
    steps = table.cells(STEP)
    numbers = steps[rows]
    steps[rows] = np.nan
    trained = np.flatnonzero(~np.isnan(steps))
    if not len(trained) and EPOCH in table.columns:
        epochs = table.cells(EPOCH)
        epochs[rows] = numbers
        table.put(EPOCH, epochs)
        del table.columns[STEP]
    group = np.searchsorted(trained, rows)  # how many training steps stand above
    if not (group > 0).any():
        return
    of_training = steps[trained]
    above = of_training[np.maximum(group, 1) - 1]
    below = np.append(of_training, -1.0)[group]
    strides = np.diff(of_training)
    stride = np.median(strides[strides > 0]) if (strides > 0).any() else 0.0
    fits = (above - 1 <= numbers) & (numbers <= np.maximum(above + stride, below))
    if fits[group > 0].mean() > 0.5:
        return
    steps[rows] = above
    table.put(STEP, steps)
    told = np.unique(np.column_stack((group, numbers)), axis=0)
    evaluated = len(np.unique(group))
    if len(told) == evaluated or (evaluated > 1 and (np.diff(told[:, 1]) > 0).all()):
        said = "whose number is no step"
    else:
        said = "numbered by their set"
        _name_sets(table, rows, numbers)
    table.notes.append(f"{len(rows):,} evaluations {said} stand at the training step above them")


def _name_sets(table: Table, rows: np.ndarray, numbers: np.ndarray) -> None:
    """Give evaluations with several numbers at one step a set each: `val 0 loss` becomes `val set_0 loss`."""
    for name in [name for name in table.columns if name.startswith(("val ", "test "))]:
        split, _, measure = name.partition(" ")
        cells = table.cells(name)
        for number in np.unique(numbers):
            of_set = np.full(len(cells), np.nan)
            of_set[rows[numbers == number]] = cells[rows[numbers == number]]
            table.put(f"{split} set_{number:g} {measure}", of_set)
        cells[rows] = np.nan
        table.put(name, cells)
        if np.isnan(cells).all():
            del table.columns[name]
