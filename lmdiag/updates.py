"""How far updates move the weights, and which learning rate would move them as far as is usual."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.run import Run, Series
from lmdiag.stats.alignment import held_at, shared_steps
from lmdiag.stats.phases import phases
from lmdiag.stats.windows import median

# AdamW in equilibrium moves its weights by sqrt(2 lr wd) of their norm with every update (Kosson et al. 2024,
# arXiv:2305.17212): 0.008 to 0.011 at the usual 3e-4 to 6e-4 and 0.1. The bundled models train equally well with updates of 0.008 to 0.025 at
# the peak; with 0.006 their evaluation ends 2% to 5% higher.
USUAL = 0.01
# sqrt((1 - b) / (1 + b)) at momentum b = 0.9: so much of an update is left where gradients do not agree
AGREEING = 0.23
RECENT = 10  # records before a rise: what it was like just before
FEWEST = 3
NEVER_BELOW = 0.9  # of the largest rate so far: a warm-up only rises
MADE = 0.3  # of the norm of the weights
LEARNED_BY = 0.05  # of the run
EARLY = 0.2  # of the run: a rise within it, or within twice the warm-up, began with the run


class Moves(Struct, frozen=True):
    """What an update did: `share` of the norm of the weights it moved, at the learning rate `lr`.

    `grown` is by which factor the weights had grown since the start where that is part of the fault: `share` is then
    that of the norm they began with.
    """

    share: float
    lr: float
    grown: float = 1.0

    @property
    def usual_lr(self) -> float:
        """The rate at which an update moves the usual share."""
        return self.lr * USUAL / self.share


def update_ratios(run: Run) -> Series | None:
    """Return the norm of the update over that of the weights, as logged or computed, None where the log has neither."""
    if "update_ratio" in run:
        return run["update_ratio"].finite
    if "update_norm" not in run or "param_norm" not in run:
        return None
    updates, weights = run["update_norm"], run["param_norm"]
    left, right = shared_steps(updates.steps, weights.steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = updates.values[left] / weights.values[right]
    return Series(updates.steps[left], ratios, source_name="update_norm").finite


def began_with_the_run(run: Run, step: int) -> bool:
    """Tell whether what began at a step began with the run: in its first fifth, or within twice the warm-up.

    It did not where a twentieth of the run came before it, and the best evaluation: that model is worth going on from.
    """
    since, span = step - run.first_step, max(run.last_step - run.first_step, run.planned_steps)
    if since >= LEARNED_BY * span and _best_by(run, step):
        return False
    return since <= max(EARLY * span, 2 * _warm_up(run))


def _best_by(run: Run, step: int) -> bool:
    """Tell whether an evaluation behind the start, and not behind a step, is the best of all."""
    losses = run.evaluation_loss[1].finite if run.evaluation_loss else None
    if losses is None or len(losses) < 2:
        return False
    return run.first_step < int(losses.steps[int(np.argmin(losses.values))]) <= step


def _warm_up(run: Run) -> int:
    """Return the steps before the peak of the rate, 0 where it had fallen before: then the peak is no end of a warm-up."""
    rates = run["lr"].finite if "lr" in run else None
    schedule = phases(rates.steps, rates.values) if rates is not None and len(rates) else None
    if rates is None or schedule is None or schedule.still_warming:
        return 0
    before = rates.values[rates.steps <= schedule.warm_step]
    fell = (before < NEVER_BELOW * np.maximum.accumulate(before)).any()
    return 0 if fell else schedule.warm_step - run.first_step


def moves(run: Run, step: int) -> Moves | None:
    """Return how far updates moved the weights just before a step, None where the log does not tell.

    Where a fault began with the run, few updates may be logged before it. Those after it still tell the rate of an optimizer
    that scales its updates (all but SGD), once the growth of the weights, which is part of the fault, is taken off.
    """
    ratios, rates = update_ratios(run), run["lr"].finite if "lr" in run else None
    if ratios is None or rates is None or not len(rates):
        return None
    ratios = ratios.at(ratios.values > 0)
    before = int(np.searchsorted(ratios.steps, step, side="right"))
    early = began_with_the_run(run, step)
    chosen = ratios.at(slice(max(0, before - RECENT), before))
    if early and before < FEWEST and "sgd" not in str(run.config.get("optimizer", "")).lower():
        chosen = ratios.at(slice(0, FEWEST))
    row = np.searchsorted(rates.steps, chosen.steps, side="right") - 1
    chosen, row = chosen.at(row >= 0), row[row >= 0]
    lr = rates.values[row]
    grown = growth(run, chosen.steps) if early else np.ones(len(lr))
    if not (lr > 0).any():
        return None
    share, grown, lr = (values[lr > 0] for values in (chosen.values, grown, lr))
    typical = int(np.argsort(share * grown / lr)[len(lr) // 2])
    return Moves(float((share * grown)[typical]), float(lr[typical]), float(grown[typical]))


def measured_late(run: Run) -> bool:
    """Tell whether updates may have made a good part of the weights before these were first measured: they look smaller beside such.

    >>> from lmdiag.run import Series
    >>> steps = np.array([10, 20, 30])
    >>> of = lambda ratio: Run("a", {"loss": Series(np.arange(1, 31), np.ones(30)), "update_ratio": Series(steps, np.full(3, ratio))})
    >>> measured_late(of(0.05)), measured_late(of(0.01))
    (True, False)
    """
    ratios = update_ratios(run)
    if ratios is None or not len(ratios) or "loss" not in run or run.step_kind != "step":
        return False
    return bool((ratios.steps[0] - run["loss"].steps[0]) * ratios.values[0] >= MADE)


def growth(run: Run, steps: np.ndarray) -> np.ndarray:
    """Return by which factor the weights had grown at each step since they were first logged, at least 1: float64[steps]."""
    weights = run["param_norm"].finite if "param_norm" in run else None
    if weights is None or not len(weights) or weights.values[0] <= 0:
        return np.ones(len(steps))
    return np.maximum(held_at(steps, weights.steps, weights.values) / weights.values[0], 1.0)


def share_at(run: Run, peak: float) -> float | None:
    """Return which share of the weights an update moves at the peak rate, None where the log does not tell."""
    ratios, rates = update_ratios(run), run["lr"].finite if "lr" in run else None
    if ratios is None or rates is None or not len(rates):
        return None
    lr = held_at(ratios.steps, rates.steps, rates.values)
    told = (ratios.values > 0) & (lr > 0)
    return peak * float(median(ratios.values[told] / lr[told])) if told.sum() >= FEWEST else None


def larger_lr(lr: float, share: float) -> float:
    """Return the rate for a run whose updates are far too small: gradients that agree now will not agree then.

    >>> round(larger_lr(1e-6, 4e-6), 5)
    0.01087
    """
    return lr * USUAL / (AGREEING * share)
