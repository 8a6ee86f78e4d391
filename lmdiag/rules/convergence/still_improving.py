import numpy as np

from lmdiag import loss_law
from lmdiag.beginning import holds_start, still_warming
from lmdiag.figures import figure
from lmdiag.finding import (
    BEGINS_LATER,
    INCOMPLETE,
    NO_LAW,
    Curve,
    Finding,
    Findings,
    NotChecked,
    Severity,
    rule,
    too_few,
)
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST, MODEL_ERROR, RANK_TREND, SURE
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.schedule import observed
from lmdiag.stats.trend import mann_kendall

POINTS = 60
MORE = 0.25
ERRORS = 3.0
HIGH_LR, LOW_LR = 0.9, 0.1


@rule(family="convergence", needs=("curve",), severity=Severity.INFO, min_points=POINTS)
def check(run: Run, curve: Curve, *, least: float = 0.02) -> Findings:
    """Loss is still falling at the end of the run.

    ## What it looks for
    A finished run that stopped while more steps would clearly have bought something.

    ## How it decides
    The law of the loss is fitted to the whole run and continued for a quarter more steps at the last learning rate. The fall it predicts is at least
    `least` (2%) of the level and three standard errors (block bootstrap); the last third must fall in its ranks too (Mann-Kendall below -4), and the last quarter beyond chance (below -1.645, which a flat end falls
    below in 5%; a slope that is just steep enough in the third has -2.6 there). The prediction starts where the last tenth of the losses stands. A learning
    rate that has decayed below a tenth of its peak, a log that is a prefix, or an evaluation that no longer falls, keep it silent.

    ## Why it matters
    The run is undertrained for its size; comparing it with finished runs would be unfair.

    ## False alarms it avoids
    The drop that the decay of the learning rate causes, noise, runs that diverged or whose loss is not finite at the end.

    ## What to try
    More steps, or a decay phase if the learning rate is still at its peak: that usually buys 2 to 5% at once.

    ## References
    - Hägele et al. 2024, Scaling laws and compute-optimal training beyond fixed training durations, arXiv:2405.18392.
    """
    losses = curve.series.thinned(LONGEST)
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    why = _blind(run, losses)
    if why is not None:
        yield why
        return
    if _ends_not_finite(run, curve.metric) or not _evaluation_falls(run) or sustained_rise(losses.values):
        return
    if mann_kendall(losses.values[-(len(losses) // 3) :]) > -RANK_TREND or _is_flat(
        losses.values[-(len(losses) // 4) :]
    ):
        return
    schedule = observed(run["lr"].steps, run["lr"].values) if "lr" in run else None
    law = loss_law.fit(losses.steps, losses.values, schedule)
    if law is None:
        yield NO_LAW
        return
    last = float(losses.steps[-1])
    at = np.array([last, last * (1 + MORE)])
    level = law.at(at) * (1 + law.newest(losses.steps, losses.values))
    now, gain = float(level[0]), float(level[0] - level[1])
    if gain < least * now:
        return
    draws = loss_law.bootstrap(law, losses.steps, losses.values, at, law.schedule, draws=100)
    error = float(np.hypot(np.std(draws[:, 0] - draws[:, 1]), MODEL_ERROR * gain)) if len(draws) > 9 else np.inf
    if gain < ERRORS * error:
        return
    yield _finding(run, curve.metric, int(last), now, gain, error)


def _blind(run: Run, losses: Series) -> NotChecked | None:
    """Return why the end of this log does not show what more steps would buy, None where it does."""
    if run.complete is False:
        return INCOMPLETE
    if not holds_start(run, losses):
        return BEGINS_LATER
    rates = run["lr"].finite.values if "lr" in run else np.empty(0)
    decayed = len(rates) > 0 and rates[-1] < LOW_LR * rates.max()
    return NotChecked(f"the learning rate ends below {LOW_LR:.0%} of its peak") if decayed else None


def _ends_not_finite(run: Run, metric: str) -> bool:
    """Tell whether the run lost its loss: from there on it can buy nothing."""
    return metric in run and not np.isfinite(run[metric].values[-1])


def _is_flat(late: np.ndarray) -> bool:
    """Tell whether the last losses may be flat: ranks that do not fall, or fall no more than chance does in 5% of flat ends."""
    return mann_kendall(late) > -SURE


def _evaluation_falls(run: Run) -> bool:
    """Tell whether the last evaluation, where there are three, is the best one."""
    losses = run.evaluation[1].finite.values if run.evaluation else np.empty(0)
    return len(losses) < 3 or bool(losses[-1] <= losses[:-1].min())


def _finding(run: Run, metric: str, last: int, now: float, gain: float, error: float) -> Finding:
    rates = run["lr"].finite.values if "lr" in run else np.empty(0)
    constant = len(rates) > 0 and rates[-1] >= HIGH_LR * rates.max() and not still_warming(run)
    decay = (
        f"Or let the learning rate ({figure(rates[-1], 3)}) decay: that usually buys 2 to 5% at once."
        if constant
        else ""
    )
    more = f"Train on: {run.place(round(last * (1 + MORE)))} should reach {figure(now - gain)}."
    return Finding(
        f"The loss is still falling at the end: {MORE:.0%} more {run.unit}s should take it from {figure(now)} to "
        f"{figure(now - gain)} (± {figure(SURE * error, 2)}).",
        last,
        last,
        metric,
        {"level": now, "expected_gain": gain, "standard_error": error},
        tuple(text for text in (more, decay) if text),
    )
