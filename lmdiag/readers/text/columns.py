"""What the columns of a printed log stand for, by their names, their units and their values; each guess is said in a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmdiag.metrics import METRICS, unit_scale
from lmdiag.naming import spelling
from lmdiag.readers.text.names import canonical, of_training
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table

SHORT_FOR_LOSS = frozenset({"l", "tl", "obj", "objective"})
FEWEST = 3
UNIX_TIMES = 1e8


def guess_step(table: Table) -> None:
    """Take a count that grows with every record for the step where nothing else says where a record stands."""
    if any(name in table.columns for name in (STEP, EPOCH, POSITION)) or len(table.lines) < FEWEST:
        return
    for name, (rows, values) in table.columns.items():
        numbers = np.asarray(values, float)
        if len(rows) == len(table.lines) and canonical(name) is None and _counts(numbers):
            table.columns[STEP] = table.columns.pop(name)
            table.notes.append(f'"{name}" grows with every record and was taken for the step')
            return


def _counts(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) > 0).all() and (numbers == np.floor(numbers)).all() and numbers[0] >= 0)


def guess_loss(table: Table) -> None:
    """Take a column such as `L` for the loss where none is called one; drop the records if it cannot be one."""
    metrics = {(canonical(name) or ("", 1.0))[0] for name in table.columns}
    short = [name for name in table.columns if name.lower() in SHORT_FOR_LOSS]
    if not short or not metrics.isdisjoint({"loss", "train/loss", "ppl", "bpb", "bpc"}):
        return
    rows, values = table.columns[short[0]]
    if len(rows) >= FEWEST and any(value != int(value) for value in values if np.isfinite(value)):
        table.names[short[0]] = "loss"
        table.notes.append(f'no column is called a loss; "{short[0]}" was taken for it')
    elif not any(metric.rpartition("/")[2] in ("loss", "accuracy", "lr", "grad_norm") for metric in metrics):
        table.keep(np.zeros(len(table.lines), bool))


def _clock(named: str, values: Sequence[float], unit: str) -> str:
    """Return what a column called "time" holds: dates, the time since the start, the time of a step, or another one."""
    if len(values) < 3 and named != "time":
        return named
    finite = [value for value in values if value == value]
    if finite and min(finite) > UNIX_TIMES:
        return "time"
    if unit in ("ms", "us", "µs"):
        return "step_time_s"
    ascends = len(finite) > 2 and all(a <= b for a, b in zip(finite, finite[1:])) and finite[0] < finite[-1]
    return "elapsed_s" if ascends else "duration_s"


def name_columns(table: Table, units: Mapping[str, str]) -> None:
    """Say which canonical metric each column is, and bring the units it was printed with to those of the metric.

    Of two columns for one metric the fuller gets it, then one of its very name, then the earlier; the other keeps its own name.
    """
    taken: dict[str, str] = {}
    for name in sorted(table.columns, key=lambda name: (-len(table.columns[name][0]), name not in METRICS)):
        if name in (STEP, EPOCH):
            continue
        metric = table.names.get(name) or (canonical(name) or (name, 1.0))[0]
        if metric in ("time", "elapsed_s") and name not in table.names:
            metric = _clock(metric, table.columns[name][1], units.get(name, ""))
        if taken.setdefault(metric, name) != name:
            rarer = 2 * len(table.columns[name][0]) <= len(table.columns[taken[metric]][0])
            estimate = rarer and metric == "loss" and of_training(name) and taken.setdefault("train/loss", name) == name
            table.names[name] = "train/loss" if estimate else name if name not in METRICS else f"printed {name}"
            continue
        if name not in table.names and spelling(name).name != metric and metric != name:
            table.names[name] = metric
        if name in units:
            table.units.setdefault(name, units[name])
        if name in table.names and unit_scale(metric, table.units.get(name, "")) == 1.0:
            table.scales.setdefault(name, (canonical(name) or ("", 1.0))[1])
