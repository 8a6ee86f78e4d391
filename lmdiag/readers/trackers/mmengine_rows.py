"""The rows that MMEngine logs: to `vis_data/`, and to TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.readers.numbers import LARGEST_WHOLE
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.stats.windows import median


def understood(log: RawLog) -> RawLog:
    """Return a log of MMEngine's `vis_data/` with its evaluations as such, at the steps of the training.

    Rows without `iter` are evaluations; their `step` counts epochs, stays 0, or is that of the training.
    """
    if not log.columns.keys() >= {"iter", "step"}:
        return log
    iters, steps = log.columns["iter"], log.columns["step"]
    evaluations = np.setdiff1d(steps.rows, iters.rows)
    said = steps.values[np.searchsorted(steps.rows, evaluations)]
    said = np.where(np.isinf(said), np.nan, said)  # no step
    before = np.searchsorted(iters.rows, evaluations) - 1
    last = np.where(before >= 0, iters.values[np.maximum(before, 0)], 0)
    epochs = log.columns.get("epoch")
    of_epoch = steps_per_epoch(iters, epochs) if epochs else 0.0
    at = np.where(said >= last, said, np.maximum(last, said * of_epoch))
    rows = np.r_[iters.rows, evaluations]
    order = np.argsort(rows)
    columns = {**log.columns, "iter": Column(rows[order], np.r_[iters.values, at][order])}
    facts = {"max_steps": int(planned)} if 0 < (planned := _planned(log.settings, of_epoch)) < LARGEST_WHOLE else {}
    return replace(
        log,
        columns=columns,
        texts={**log.texts, **({"split": (evaluations, ["val"] * len(evaluations))} if len(evaluations) else {})},
        config={**log.config, **facts},
        step_column="iter",
        names={"step": None, "time": "step_time_s"},
        units={"memory": "MB"},
        unused={**log.unused, "step": "it counts epochs in evaluations, and is the same as iter elsewhere"},
    )


def tells(log: RawLog) -> bool:
    """Tell whether rows are of MMEngine: `step` repeats `iter`, but for evaluations, which have no learning rate either."""
    iters, steps, rate = (log.columns.get(name) for name in ("iter", "step", "lr"))
    if iters is None or steps is None or rate is None or len(steps.rows) < log.n_rows:
        return False
    same = np.array_equal(steps.values[iters.rows], iters.values, equal_nan=True)
    told = "data_time" in log.columns or len(iters.rows) < log.n_rows
    return same and told and "time" in log.columns and bool(np.isin(rate.rows, iters.rows).all())


def steps_per_epoch(iters: Column, epochs: Column) -> float:
    """Return how many steps an epoch has: from the first row of one to that of the next, 0 where a log has but one epoch."""
    _, of_iters, of_epochs = np.intersect1d(iters.rows, epochs.rows, return_indices=True)
    step, epoch = iters.values[of_iters], epochs.values[of_epochs]
    finite = np.isfinite(step) & np.isfinite(epoch)
    step, epoch = step[finite], epoch[finite]
    first = np.diff(epoch, prepend=np.nan) != 0
    lengths = np.diff(step[first])[np.diff(epoch[first]) == 1]
    return float(median(lengths)) if len(lengths) else 0.0


def _planned(settings: Mapping[str, Any], of_epoch: float) -> float:
    planned = settings.get("train_cfg")
    planned = planned if isinstance(planned, Mapping) else {}
    for name, steps in (("max_iters", 1.0), ("max_epochs", of_epoch)):
        if isinstance(planned.get(name), int) and planned[name] < LARGEST_WHOLE:
            return planned[name] * steps
    return 0.0
