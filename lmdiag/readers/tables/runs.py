"""What the rows of a printed log count, one counter for the whole run, and which rows belong to which run."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from lmdiag.naming import evaluation_set, spelling
from lmdiag.readers.tables.column_names import FEWEST, metric_of
from lmdiag.readers.tables.table import EPOCH, POSITION, STEP, Table, filled
from lmdiag.run import Skipped
from lmdiag.stats.returning import loss_returns


def unroll(table: Table) -> None:
    """Give every row one step that counts through the whole run, from its step, place in the epoch, and epoch.

    Rows without a place of their own, such as an evaluation printed behind the step it was made at, take the place of
    the row before. Sets `config["step_kind"]` where the step counts something else than optimizer steps.
    """
    step, epoch, totals = table.cells(STEP), table.cells(EPOCH), table.totals
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
    numbered = np.isfinite(epoch)
    counted = numbered.any() and (epoch[numbered] == np.floor(epoch[numbered])).all()
    guessed = table.config.get("guessed_places", False)
    if counted and _is_slower(step, epoch, or_back=guessed):
        if guessed:  # `[50/3000] [42]`, where 42 is no place
            reason = "a count that goes on more slowly than the one before it, or back"
            table.skipped.append(Skipped(int(table.lines[own.argmax()]), reason, int(own.sum()), "value"))
            step = np.where(numbered, epoch, step)
            table.columns.pop(EPOCH)
        counted = False  # the steps of the run
    evaluated = _evaluated_alone(table, len(step))
    trained = np.where(evaluated, np.nan, step)
    per_epoch = 0.0
    if counted:
        per_epoch = _steps_per_epoch(trained, epoch, totals * ~evaluated) or _steps_per_epoch(step, epoch, totals)
    if per_epoch:
        base = 1 if np.nanmin(epoch) >= 1 else 0
        whole = filled(epoch) - base
        batches = own & evaluated & (totals > 0) & (totals != per_epoch)  # of an evaluation, and no steps
        closing = ~own & ~np.isnan(epoch)  # an evaluation that names its epoch and no step: at the end of the epoch
        if (closing & evaluated).any():
            _leave_out(table, batches)
        step[batches] = np.nan  # they stand where the training does
        _averages_apart(table, closing, own & ~batches)
        step = np.where(closing, (whole + 1) * per_epoch, step + whole * per_epoch)
        table.totals = np.full(len(step), per_epoch * table.config.get("epochs", 0))
    one_epoch = counted and len(np.unique(epoch[numbered])) == 1
    table.of_epochs = table.of_epochs if one_epoch else set()
    from_further_on = True in table.of_epochs and epoch[numbered][0] > 1
    if from_further_on:  # the steps of this excerpt are those of its epoch
        table.totals = np.zeros(len(step))
        table.of_epochs = set()
    table.put(STEP, filled(step))


def _is_slower(step: np.ndarray, epoch: np.ndarray, or_back: bool) -> bool:
    """Whether each record has a further epoch, and the steps grow more slowly, or go back: they are none of the epoch."""
    both = np.isfinite(step) & np.isfinite(epoch)
    steps, epochs = np.diff(step[both]), np.diff(epoch[both])
    if len(steps) < FEWEST or not (epochs > 0).all():
        return False
    return bool(((steps > 0) & (steps < epochs)).all() or (or_back and (steps < 0).all()))


def _evaluated_alone(table: Table, rows: int) -> np.ndarray:
    """Tell which rows hold a loss or score of an evaluation, and no loss of the training: bool[rows]."""
    evaluated, trained = np.zeros(rows, bool), np.zeros(rows, bool)
    for name, (at, _) in table.columns.items():
        of_set = evaluation_set(spelling(name).name)
        if of_set or metric_of(name) == "loss":
            (evaluated if of_set else trained)[np.asarray(at, int)] = True
    return evaluated & ~trained


def _leave_out(table: Table, batches: np.ndarray) -> None:
    """Leave out what the batches of an evaluation gave, the result of which is printed as well."""
    count = 0
    for name in [name for name in table.columns if evaluation_set(spelling(name).name)]:
        rows, values = (np.asarray(side) for side in table.columns[name])
        kept = ~batches[rows.astype(int)]
        count += int((~kept).sum())
        table.columns[name] = rows[kept], values[kept]
    if count:
        reason = "a value of one batch of an evaluation, the result of which is read"
        table.skipped.append(Skipped(int(table.lines[batches.argmax()]), reason, count, "value"))


def _counts_samples(table: Table, totals: np.ndarray, position: np.ndarray) -> bool:
    """Whether places such as 640/60000 count samples: they advance in strides of more than one and never odd ones."""
    strides = np.diff(np.unique(position[np.isfinite(position)]))
    large = len(strides) > 2 and strides.min() >= 8 and totals.max() >= 10_000
    return bool(large and table.config.get("percent", False))


def _by_epoch(table: Table, epoch: np.ndarray) -> None:
    table.config["step_kind"] = "record"
    if np.isnan(epoch).all():
        return
    fractions = bool((epoch[np.isfinite(epoch)] % 1).any())  # `Epoch 5.451 loss = 2.5`
    if fractions or _repeats(table, epoch):
        if not fractions:
            table.notes.append("several records of each epoch are printed without a step: records are counted")
        table.put(STEP, np.arange(1.0, len(epoch) + 1))
        table.put(EPOCH, filled(epoch))
        return
    table.config["step_kind"] = "epoch"
    table.totals = np.full(len(epoch), float(table.config.get("epochs", 0)))
    table.put(STEP, filled(epoch))
    table.columns.pop(EPOCH, None)


def _repeats(table: Table, epoch: np.ndarray) -> bool:
    """Whether the fullest column holds several values of the same epoch one after the other."""
    columns = [(rows, values) for name, (rows, values) in table.columns.items() if name != EPOCH]
    column: tuple[Any, Any] = max(columns, key=lambda one: len(one[0]), default=([], []))
    fullest, cells = np.asarray(column[0]), np.asarray(column[1])
    ranks = table.ranks
    if len(np.unique(ranks[ranks >= 0])) > 1:  # the others will be left out
        mine = np.isin(ranks[fullest], (-1, ranks[ranks >= 0].min()))
        fullest, cells = fullest[mine], cells[mine]
    if len(fullest) < 3:
        return False
    again = np.diff(epoch[fullest]) == 0
    printed_twice = (cells[1:] == cells[:-1]) | (np.isnan(cells[1:]) & np.isnan(cells[:-1]))
    return bool(np.mean(again) >= 0.5 and (again & ~printed_twice).sum() >= again.sum() / 2)


def _averages_apart(table: Table, closing: np.ndarray, own: np.ndarray) -> None:
    """Leave the mean that closes an epoch out of the columns of its steps, so that it is no value of the last of them.

    Where one step of each epoch is printed, such as its first, the means are the curve.
    """
    for name in [
        name for name in table.columns if name not in (STEP, EPOCH) and not evaluation_set(spelling(name).name)
    ]:
        rows, values = (np.asarray(side) for side in table.columns[name])
        at = closing[rows]
        if 0 < at.sum() <= own[rows].sum():
            means = at.sum() == own[rows].sum() >= FEWEST
            apart = f"{'batch' if means else 'epoch'} {name}"
            for part, chosen in ((name, at == means), (apart, at != means)):
                table.columns[part] = rows[chosen], values[chosen]
            table.names[apart] = apart


def _steps_per_epoch(step: np.ndarray, epoch: np.ndarray, totals: np.ndarray) -> float:
    """Return how many steps an epoch has where the counter starts again with every epoch, else 0."""
    rows = np.flatnonzero(~np.isnan(step) & ~np.isnan(epoch))
    if len(np.unique(epoch[rows])) < 2:
        return 0
    steps, most = step[rows], totals[rows].max()
    onward = np.diff(epoch[rows])
    forward = onward > 0
    back = (np.diff(steps) < np.maximum(onward, 0)) | (np.unique(steps).size == 1)
    within = (forward & back).any() and 0 < most >= steps.max()
    if not within and (forward & ~back).sum() >= max((forward & back).sum(), 1):
        return 0
    return float(max(most, steps.max() + (1 if steps.min() == 0 else 0)))


def tell_apart(table: Table, bars: list[list[int]], is_held: Callable[[str], bool]) -> None:
    """Keep losses of epochs apart from those of steps: of a second bar, or printed behind an epoch; `bars` are their rows.

    Where a bar shows no more losses than are printed, but for that of an epoch that was cut short, the printed ones
    count. A loss that never was a number beside one that still is stands for the eye only: after a step with such a
    loss the other would be none, too. What a bar goes on showing, `is_held`, is of neither.
    """
    columns = table.columns
    of_epochs = {*np.flatnonzero(np.isnan(table.cells(STEP)) & np.isnan(table.cells(POSITION))).tolist()}
    shown = {row for rows in bars for row in rows}
    names = {name for name in columns.keys() - {STEP, EPOCH} if not shown.isdisjoint(columns[name][0])}
    beside, totals = [*_beside_longer(bars)], table.totals
    totals[beside] = 0
    table.totals = totals
    of_epochs.update(beside)
    shown -= of_epochs
    losses = {name for name in columns if metric_of(name) == "loss" and not is_held(name)}
    printed = {row for name in losses for row in columns[name][0]} & of_epochs
    if _as_many(printed, shown):
        _move(table, losses & names, shown, "shown as")
    elif shown:
        _move(table, {name for name in names if not is_held(name)}, of_epochs, "train epoch")
    _move(table, {STEP}, of_epochs, "")
    known = {name: np.isfinite(values) for name, (_, values) in columns.items() if name in losses}
    for name in known if any(finite[-1] for finite in known.values()) else ():
        if name in names and not known[name].any():
            _move(table, {name}, shown, "shown as")
            table.names[f"shown as {name}"] = None
            table.notes.append(f'"{name}" was never a number beside another loss and is left out')


def prefer_printed(table: Table, shown: set[int]) -> None:
    """Let evaluations that are printed count, and not those that bars show, in the rows `shown`, maybe of the last batch.

    Where fewer are printed, those of the bars count.
    """
    of_bars = {metric_of(name) for name, (rows, _) in table.columns.items() if not shown.isdisjoint(rows)} - {""}
    for metric in of_bars:
        names = {name for name in table.columns if metric_of(name) == metric}
        rows = {row for name in names for row in table.columns[name][0]}
        if _as_many(rows - shown, rows & shown):
            _move(table, names, shown, "shown as")


def _as_many(printed: set[int], shown: set[int]) -> bool:
    """Tell whether as many values are printed as shown, but for the last epoch, which may have been cut short."""
    return bool(printed) and len(shown) <= len(printed) + 1


def _move(table: Table, names: set[str], moved: set[int], prefix: str) -> None:
    """Give the values of some rows another name, or none."""
    columns = table.columns
    for name in [name for name in columns if name in names]:
        rows, values = (np.asarray(side) for side in columns[name])
        apart = np.isin(rows, list(moved))
        if apart.any() and prefix:
            columns[f"{prefix} {name}"] = rows[apart], values[apart]
        columns[name] = rows[~apart], values[~apart]
        if apart.all():
            del columns[name]


def _beside_longer(bars: list[list[int]]) -> Iterator[int]:
    """Yield the rows of the bars that were drawn while one of more rows was."""
    firsts: list[int] = []
    lasts: list[int] = []
    for _, group in groupby(sorted(bars, key=len, reverse=True), len):
        alike = list(group)
        for rows in alike:
            if bisect_left(firsts, rows[-1]) > bisect_right(lasts, rows[0]):
                yield from rows
        for rows in alike:
            insort(firsts, rows[0])
            insort(lasts, rows[-1])


def separate(table: Table) -> list[tuple[int, int]]:
    """Return the spans of rows, first <= row < last, of the single runs.

    A step counter that goes back to its start is a new run where the log says that the run before had ended, where
    another number of steps is announced, or where the announced last step was reached and the loss goes back to its
    beginning, too; else it is a restart of the same run, or a further epoch.
    """
    table.columns = {name: (np.asarray(rows), np.asarray(values)) for name, (rows, values) in table.columns.items()}
    count = len(table.lines)
    rows, steps = table.columns.get(STEP, (np.empty(0, np.int64), np.empty(0)))
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    found, epochs = _restarts(table, rows, steps, back) if len(back) else ([], [])
    named = np.searchsorted(np.asarray(table.lines), np.asarray(table.starts, np.int64)).tolist()
    starts = sorted({0, *found, *named} - {count})
    spans = list(zip(starts, [*starts[1:], count]))
    totals = table.totals
    if table.of_epochs == {True}:
        totals *= table.config.get("epochs", 0)
    for run in {int(run) for run in np.searchsorted(starts, epochs, "right") - 1}:
        totals[slice(*spans[run])] = 0  # that many steps has an epoch
    table.totals = totals
    return spans


def _restarts(table: Table, rows: np.ndarray, steps: np.ndarray, back: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the rows at which another run begins, and those at which another epoch of one does.

    `back` are the places at which the counter goes back.
    """
    kinds = ("end", "final_evaluation")
    ends = np.array([row for row, event in zip(table.event_rows, table.events) if event.kind in kinds], np.int64)
    announced = table.totals[rows]
    said = np.maximum.accumulate(np.where(announced > 0, np.arange(len(rows)), -1))  # where a total was announced last
    starts: list[int] = []
    epochs: list[int] = []
    start, lowest, before = 0, steps[0], 0
    for at, returned in zip(back.tolist(), _returns(table, rows[back])):
        lowest, before = min(lowest, steps[before:at].min()), at
        planned = announced[said[at - 1]] if said[at - 1] >= start else 0.0
        if steps[at] > lowest:
            continue
        first, row = np.searchsorted(ends, [rows[start], rows[at]], "right")
        other = 0 < planned != announced[at] > 0
        reached = planned and steps[at - 1] >= planned - 1
        if row > first or other or (reached and returned):
            starts.append(int(rows[at]))
            start, lowest = at, steps[at]
        elif reached:
            epochs.append(int(rows[at]))
    return starts, epochs


def _returns(table: Table, starts: np.ndarray) -> list[bool]:
    """Tell for each of these rows whether the fullest loss goes back to where the log began."""
    losses = [column for name, column in table.columns.items() if metric_of(name) == "loss"]
    rows, values = max(losses, key=lambda column: len(column[0]), default=(starts[:0], np.empty(0)))
    at = np.searchsorted(rows, starts)
    if not len(rows):
        return [True] * len(starts)
    return loss_returns(values, at, of_epochs=table.config.get("step_kind") == "epoch")
