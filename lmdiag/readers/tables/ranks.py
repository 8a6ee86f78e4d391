"""Records that several processes printed, or one process twice: one of each stays.

Of records with a rank or a host in front, those of the lowest that has a loss stay, and of others what it has not, or what
is not finite where its values are. Where each step is printed equally often with nothing in front, equal prints are
copies, and others are averaged: whether ranks or micro-batches printed them, their mean is the loss of the step. They are left alone where something else is counted
from print to print, as micro-batches are, and where the steps begin again, as after a restart.
"""

from __future__ import annotations

import numpy as np

from lmdiag.readers.prefixes import RANKS_OF_A_HOST
from lmdiag.readers.tables.table import EPOCH, RANK, STEP, Table
from lmdiag.run import Event

FEWEST_STEPS = 3
SHARE = 0.9  # of the steps that must be printed equally often: lines get lost
LATEST = 8  # steps that one process may print behind another, of fewer than 32 a quarter
_PROCESSES = ("rank", "local_rank", "gpu", "device", "worker", "process")
_PLACES = (STEP, EPOCH, "epoch", *_PROCESSES)
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def merge(table: Table) -> np.ndarray:
    """Leave one record of those that were printed several times; return bool[rows so far], which ones stayed."""
    stays = np.ones(len(table.lines), bool)
    for choose in (_lowest_rank, _one_of_equal_prints, _means_of_steps, _without_history):
        chosen = choose(table)
        if chosen is not None:
            stays[stays] = chosen
            table.keep(chosen)
    return stays


def _lowest_rank(table: Table) -> np.ndarray | None:
    """Choose the records of the lowest rank that has a loss, and those with a loss of steps that it has not."""
    if RANK not in table.beside:
        return None
    of_rank = table.ranks
    ranks = np.unique(of_rank[of_rank >= 0]).tolist()
    if not 2 <= len(ranks) <= max(2, len(of_rank) // 2):  # numbers that never come again are no ranks
        return None
    has_loss = _with_loss(table)
    keep = next((rank for rank in ranks if (has_loss & (of_rank == rank)).any()), ranks[0])
    chosen = (of_rank == -1) | (of_rank == keep)
    steps = table.cells(STEP)
    for rank in ranks if STEP in table.columns else ():
        if rank != keep:
            chosen |= (of_rank == rank) & has_loss & ~np.isnan(steps) & ~np.isin(steps, steps[chosen & has_loss])
    hosts = ranks[-1] >= RANKS_OF_A_HOST
    broken, losses = _put_broken(table, chosen)
    _tell_broken(table, losses, of_rank, "" if hosts else "rank")
    of_ranks = "" if hosts else f" of rank {', '.join(map(str, np.unique(of_rank[broken])))}"
    but = f", but for {len(broken)} values{of_ranks} that are not finite" if len(broken) else ""
    whose = "hosts than the first" if hosts else f"ranks than {keep}"
    table.notes.append(f"{int((~chosen).sum())} records of other {whose} left out{but}")
    return None if chosen.all() else chosen


def _tell_broken(table: Table, rows: np.ndarray, processes: np.ndarray, called: str) -> None:
    """Note of each process where its loss was first not finite, given the rows of such losses."""
    steps = table.cells(STEP) if STEP in table.columns and called else np.empty(0)
    for number in np.unique(processes[rows]).tolist() if len(steps) else ():
        own = np.unique(steps[rows[processes[rows] == number]])
        if len(own) and np.isfinite(own[0]):
            whose = f"{called} {number:g}"
            message = f"the loss of {whose} is not finite"
            table.happened(Event("broken_rank", int(own[0]), message, {"whose": whose, "records": len(own)}))


def _put_broken(table: Table, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put values of other ranks that are not finite in place of the finite ones of their step; return the rows they stood in, and of losses.

    What a rank has no finite value of it does not measure.
    """
    name_of_place = next((name for name in (STEP, EPOCH, "epoch") if name in table.columns), "")
    if not name_of_place:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    _, place = np.unique(table.cells(name_of_place), return_inverse=True, equal_nan=False)
    count, lines, moved, losses = len(table.lines), np.array(table.lines, np.int64), [], []
    for name, (at, numbers) in table.columns.items():
        rows, values, cells = np.asarray(at, np.int64), np.array(numbers, np.float64), table.cells(name)
        finite = np.isfinite(values)
        if name in _PLACES or finite.all():
            continue
        measure = np.isin(table.ranks[rows], table.ranks[rows[finite]])
        broken = rows[~finite & measure & ~chosen[rows]]
        stands = np.flatnonzero(finite & chosen[rows])
        stands = stands[np.argsort(place[rows[stands]] * count + rows[stands])]
        keys = place[rows[stands]] * count + rows[stands]
        found = np.searchsorted(keys, place[broken] * count + broken)
        for row, k in zip(broken.tolist(), found.tolist()):
            near = [stands[i] for i in (k - 1, k) if 0 <= i < len(stands) and place[rows[stands[i]]] == place[row]]
            if near:  # a step comes again after a restart
                own = min(near, key=lambda i: abs(int(rows[i]) - row))
                values[own], lines[rows[own]] = cells[row], table.lines[row]
                moved.append(row)
                losses += [row] if "loss" in name.lower() else []
        table.columns[name] = (at, values)
    table.lines = lines
    return np.array(moved, np.int64), np.array(losses, np.int64)


def _with_loss(table: Table) -> np.ndarray:
    rows = [rows for name, (rows, _) in table.columns.items() if "loss" in name.lower()]
    return np.isin(np.arange(len(table.lines)), np.concatenate([np.zeros(0, int), *rows]))


def _one_of_equal_prints(table: Table) -> np.ndarray | None:
    """Choose one of equal records that follow each other, where every record of the log stands as many times."""
    count, steps = len(table.lines), np.asarray(table.columns.get(STEP, ([], []))[1])
    if count < 2 * FEWEST_STEPS or (len(steps) == count and (np.diff(steps) > 0).all()):
        return None
    prints = np.zeros(count, np.uint64)
    for number, (rows, values) in enumerate(table.columns.values()):
        where = np.asarray(rows, np.int64)
        bits = (np.asarray(values, np.float64) + 0.0).view(np.uint64)
        prints[where] = (prints[where] ^ bits ^ np.uint64(number)) * _PRIME
    starts = np.flatnonzero(np.diff(prints, prepend=~prints[:1]) != 0)
    lengths = np.diff(starts, append=count)
    times = int(np.bincount(lengths).argmax())
    if times < 2 or len(starts) < FEWEST_STEPS or (lengths % times == 0).mean() < SHARE:
        return None
    if len(np.unique(prints[starts])) < SHARE * len(starts):
        return None
    if STEP not in table.columns and not _vary(table, starts):
        return None
    table.notes.append(f"each record is printed {times} times: one of each was kept")
    return (np.arange(count) - np.repeat(starts, lengths)) % times == 0


def _vary(table: Table, rows: np.ndarray) -> bool:
    """Whether the losses of some rows are mostly different: rounded places beside a loss of 0 are no copies."""
    losses = (table.cells(name)[rows] for name in table.columns if "loss" in name.lower())
    return any(len(np.unique(cells)) >= SHARE * len(rows) / 2 for cells in losses)


def _means_of_steps(table: Table) -> np.ndarray | None:
    """Average the records of each step, where each step has equally many of the same columns; the first row stays."""
    where, values = (np.asarray(side) for side in table.columns.get(STEP, ([], [])))
    if len(where) < 2 * FEWEST_STEPS or (np.diff(values) > 0).all() or table.config.get("step_kind") == "epoch":
        return None
    kinds = np.zeros(len(table.lines), np.uint64)
    for number, (rows, _) in enumerate(table.columns.values(), 1):
        kinds[rows] = kinds[rows] * _PRIME + np.uint64(number)
    where, values = (side[_with_loss(table)[where]] for side in (where, values))
    if not len(where):
        return None
    _, kind_of, sizes = np.unique(kinds[where], return_inverse=True, return_counts=True)
    chosen, times = np.ones(len(table.lines), bool), 0
    by = next((name for name in _PROCESSES if name in table.columns), "")
    broken = _broken_losses(table, by)
    for kind in np.argsort(-sizes, kind="stable"):
        found = prints_of_steps(where[kind_of == kind], values[kind_of == kind], times)
        means = _means(table, *found) if found else None
        if not found or means is None:
            if not times:
                return None  # the most frequent records decide
            continue
        rows, starts, most = found
        _put(table, rows[starts], means)
        times = most
        chosen[rows] = False
        chosen[rows[starts]] = True
    table.notes.append(f"{times} prints of each step ({by or 'ranks or micro-batches'}) were averaged{broken}")
    return chosen


def _broken_losses(table: Table, by: str) -> str:
    """Say of which processes the losses are not finite, where a column called `by` tells them."""
    if not by:
        return ""
    columns = [columns for name, columns in table.columns.items() if "loss" in name.lower()]
    rows = np.concatenate([np.asarray(at, np.int64)[~np.isfinite(values)] for at, values in columns])
    _tell_broken(table, rows, table.cells(by), by)
    found = np.unique(table.cells(by)[rows])
    whose = f"{by} {', '.join(f'{number:g}' for number in found)}"
    return f"; of {whose}, {len(rows):,} losses are not finite" if len(rows) else ""


def prints_of_steps(where: np.ndarray, steps: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Return rows sorted by their step, where each step starts, and how often each is printed; None where that varies.

    A process may have ended before the others.
    """
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(steps[order], prepend=np.nan) != 0)
    lengths = np.diff(starts, append=len(steps))
    most = times or int(np.bincount(lengths).argmax())
    together = int(np.flatnonzero(lengths == most)[-1]) + 1 if (lengths == most).any() else 0
    if lengths[together:].max(initial=0) > most or together < len(lengths) / 2:
        return None
    if most < 2 or (lengths[:together] == most).mean() < SHARE or (not times and together < FEWEST_STEPS):
        return None
    place = np.searchsorted(steps[order][starts], steps)
    behind = int((np.maximum.accumulate(place) - place).max())
    if behind > min(LATEST, max(1, len(starts) // 4)):
        return None  # begins again
    return where[order], starts, most


def _means(table: Table, rows: np.ndarray, starts: np.ndarray, times: int) -> dict[str, np.ndarray] | None:
    """Return the mean of each column in each step, None where a column counts from print to print."""
    lengths = np.diff(starts, append=len(rows))
    whole = starts[lengths == times]
    means: dict[str, np.ndarray] = {}
    for name in table.columns:
        cells = table.cells(name)[rows]
        if name in (STEP, EPOCH) or np.isnan(cells).all():
            continue
        each = cells[whole[:, None] + np.arange(times)]
        if name not in _PLACES and (each == np.round(each)).all() and (np.diff(each, axis=1) > 0).all():
            return None
        with np.errstate(invalid="ignore"):
            means[name] = np.add.reduceat(cells, starts) / lengths
    return means


def _put(table: Table, rows: np.ndarray, means: dict[str, np.ndarray]) -> None:
    for name, mean in means.items():
        at, values = (np.asarray(side) for side in table.columns[name])
        cells = np.array(values, np.float64)
        cells[np.searchsorted(at, rows)] = mean
        table.columns[name] = (at, cells)


def _without_history(table: Table) -> np.ndarray | None:
    """Leave out the records that a printed list of the whole history repeats with their steps."""
    lines, losses, listed = np.asarray(table.lines, np.int64), table.cells("loss"), ~np.isnan(table.cells(STEP))
    of_lists = lines[1:][listed[1:] & (lines[1:] == lines[:-1])]
    if not len(of_lists):
        return None
    before = (lines < of_lists[-1]) & ~listed
    listed_losses, others = (losses[rows & ~np.isnan(losses)] for rows in (lines == of_lists[-1], before))
    alike = np.isclose(listed_losses[: len(others)], others[: len(listed_losses)], rtol=2e-3, atol=1e-4)
    if not len(others) or len(others) > len(listed_losses) or not alike.all():
        return None
    table.notes.append(f"{int(before.sum())} records stand in a printed history, too, which names their steps")
    return ~before
