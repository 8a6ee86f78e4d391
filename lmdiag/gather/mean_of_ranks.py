"""The mean of the losses that several ranks of one training logged, and where those of one are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from lmdiag.run import Event, Run, Series


def is_loss(name: str) -> bool:
    """Tell whether a metric is a loss of training or of an evaluation."""
    return name == "loss" or (name.endswith("/loss") and not name.startswith("layers/"))


def mean_of(run: Run, ranks: Sequence[Run]) -> Run:
    """Return the run of the first rank with the losses of the steps that all ranks logged as their mean."""
    series, told, events = dict(run.series), [], list(run.events)
    for name in filter(is_loss, run.series):
        of_all = [rank[name] for rank in ranks if name in rank]
        steps = reduce(np.intersect1d, (s.steps for s in of_all))
        if len(of_all) == len(ranks) and len(steps):
            values = run[name].values.copy()
            means = np.mean([s.values[np.isin(s.steps, steps)] for s in of_all], axis=0)
            values[np.isin(run[name].steps, steps)] = means
            mean = replace(run[name], values=values, decimals=None, reduction=run[name].reduction)
            broken = []
            for number, (rank, own) in enumerate(zip(ranks, of_all)):
                mean = replace(mean, lines=lines_of_broken(run, mean, rank, own))
                bad = np.flatnonzero(~np.isfinite(own.values) & np.isin(own.steps, steps))
                if len(bad):
                    broken.append(_broken(name, number, rank, own, bad))
                if len(bad) and name == "loss":
                    fields = {"whose": f"rank {number}", "records": len(bad)}
                    events.append(Event("broken_rank", int(own.steps[bad[0]]), broken[-1], fields))
            told += broken if len(broken) < len(ranks) else []
            series[name] = mean
    return replace(
        run,
        series=series,
        events=tuple(events),
        notes=(*run.notes, *told, f"The loss is the mean of {len(ranks)} ranks."),
    )


def _broken(name: str, number: int, rank: Run, losses: Series, bad: np.ndarray) -> str:
    """Say where the losses of a rank are not finite."""
    line = "" if losses.lines is None else f", line {losses.lines[bad[0]]:,}"
    where = f"first at {rank.place(int(losses.steps[bad[0]]))} ({rank.source}{line})"
    return f"The {name} of rank {number} is not finite in {len(bad):,} of {len(losses):,} records, {where}; nor is the mean."


def lines_of_broken(run: Run, series: Series, other: Run, own: Series) -> np.ndarray | None:
    """Return the lines of a series with those of the values that are not finite on another rank, 0 where they stand in another file."""
    bad = own.steps[~np.isfinite(own.values)]
    if series.lines is None or not len(bad) or other is run:
        return series.lines
    lines = series.lines.copy()
    _, i, j = np.intersect1d(series.steps, bad, return_indices=True)
    if other.source != run.source or own.lines is None:
        lines[i] = 0
    else:
        lines[i] = own.lines[~np.isfinite(own.values)][j]
    return lines
