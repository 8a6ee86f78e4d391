"""Where the loss of a run will end, what was spent for nothing, and what more steps would buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdiag import loss_law
from lmdiag.beginning import holds_start
from lmdiag.finding import SHAPELESS
from lmdiag.loss_law import Law
from lmdiag.run import Run, Series
from lmdiag.stats.limits import EQUAL, MODEL_ERROR, SURE
from lmdiag.stats.noise import MEDIAN_ERROR, scatter
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.schedule import Schedule, continued, observed
from lmdiag.stats.windows import rolling_median

MOST_POINTS = 2000
LEAST_SHARE = 0.3  # of the planned steps: before that the law is not pinned down
MORE = 1.25
# What the law leaves out, as standard deviations; set so that the interval covers 85 to 95% of held-out ends
# (`python benchmarks/forecast.py`): a share of the fall still to come (MODEL_ERROR), a share of the level times the
# part still to run, and a share of the level that no curve stays within.
MODEL_ERROR_OF_LEVEL, SMALLEST_MODEL_ERROR = 0.02, 0.005
UNKNOWN_DECAY = 0.03  # of the level: what annealing may still buy where the log holds no learning rate


@dataclass(frozen=True)
class Forecast:
    """Where the level of the loss will be at `step`: `loss`, and the 90% interval `low` to `high`, in the unit of `metric`.

    `schedule` says which learning rate was assumed. `useful_step` is the first step whose level was as good as the best one, `wasted`
    the share of the steps after it. `gain` (`gain_low` to `gain_high`) is the fall that a plan of `more_steps`, 25% longer at the last rate
    of the plan, would add; all three are 0 where nothing is gained for sure.
    """

    metric: str
    step: int
    loss: float
    low: float
    high: float
    schedule: str
    useful_step: int
    wasted: float
    more_steps: int
    gain: float
    gain_low: float
    gain_high: float


def forecast(run: Run) -> Forecast | None:
    """Predict the end of a run from its law of the loss.

    None where the law cannot hold: fewer than 24 losses, a log without its start, a loss that need not fall or has
    risen and stayed up, or less than 30% of the planned steps.

    >>> steps = np.arange(1, 1001)
    >>> run = Run("a", {"loss": Series(steps, 2 + 6 * (steps / 50) ** -0.5)}, config={"max_steps": 2000})
    >>> round(forecast(run).loss, 1), forecast(Run("empty", {}))
    (2.9, None)
    """
    if run.curve is None or run.objective in SHAPELESS:
        return None
    metric, curve = run.curve
    curve = curve.finite.thinned(MOST_POINTS)
    planned = int(max(run.planned_steps, run.last_step))
    if len(curve) < loss_law.FEWEST_POINTS or run.last_step < LEAST_SHARE * planned:
        return None
    if not holds_start(run, curve) or sustained_rise(curve.values):
        return None
    schedule, assumed = _continued(run, planned)
    law = loss_law.fit(curve.steps, curve.values, schedule)
    if law is None:
        return None
    more = int(np.ceil(MORE * planned))
    at = np.array([curve.steps[-1], planned, more], float)
    level, spread = _levels(law, curve, at, schedule)
    known = "lr" in run
    low, high = _interval(level, spread, at, known, law)
    gain, error = level[1] - level[2], _gain_error(level, spread)
    useful = _useful_step(run, curve)
    span = max(int(curve.steps[-1]) - int(curve.steps[0]), 1)
    return Forecast(
        metric,
        planned,
        float(level[1]),
        low,
        high,
        assumed,
        useful,
        (int(curve.steps[-1]) - useful) / span,
        more,
        max(float(gain), 0.0),
        max(float(gain - error), 0.0),
        max(float(gain + error), 0.0),
    )


def _continued(run: Run, planned: int) -> tuple[Schedule | None, str]:
    """Return the learning rate up to the planned end, and in words where it comes from."""
    logged = observed(run["lr"].steps, run["lr"].values) if "lr" in run else None
    if logged is None:
        return None, "unknown"
    longer, shape = continued(logged, planned)
    return longer, shape


def _levels(law: Law, curve: Series, at: np.ndarray, schedule: Schedule | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected loss now, at the end and with more steps, and draws of it: float64[draws, 3].

    Where the newest tenth of the curve stands beside the law, the end is expected to stand beside it by as much.
    """
    level = law.at(at)
    draws = loss_law.bootstrap(law, curve.steps, curve.values, at, schedule or law.schedule)
    return np.maximum(level * (1 + law.newest(curve.steps, curve.values)), 0.0), draws


def _interval(level: np.ndarray, draws: np.ndarray, at: np.ndarray, lr_known: bool, law: Law) -> tuple[float, float]:
    """Return the 90% interval of the loss at the planned end."""
    now, end = float(level[0]), float(level[1])
    ahead = float(1 - at[0] / at[1])
    spread = float(np.std(draws[:, 1])) if len(draws) > 1 else 0.0
    newest = MEDIAN_ERROR * law.scatter * now / np.sqrt(max(5, len(law.steps) // 10))
    newest *= np.sqrt((1 + law.correlated) / (1 - law.correlated))
    model = MODEL_ERROR * abs(now - end) + MODEL_ERROR_OF_LEVEL * ahead * now + SMALLEST_MODEL_ERROR * now * (ahead > 0)
    half = SURE * float(np.sqrt(spread**2 + newest**2 + model**2))
    down = 0.0 if lr_known else UNKNOWN_DECAY * end * min(1.0, 4 * ahead)
    return max(end - half - down, 0.0), end + half


def _gain_error(level: np.ndarray, draws: np.ndarray) -> float:
    noise = np.std(draws[:, 1] - draws[:, 2]) if len(draws) > 1 else 0.0
    return SURE * float(np.hypot(noise, MODEL_ERROR * (level[1] - level[2])))


def _useful_step(run: Run, curve: Series) -> int:
    """Return the first step whose loss was as good as the best one: of the evaluations, or of the smoothed curve."""
    judged = run.evaluation[1].finite if run.evaluation is not None and len(run.evaluation[1].finite) >= 5 else None
    if judged is not None:
        steps, values, noise = judged.steps, judged.values, scatter(judged.values)
    else:
        width = max(1, len(curve) // 20) | 1
        steps, values = curve.steps[width // 2 : len(curve) - width // 2], rolling_median(curve.values, width)
        noise = scatter(curve.values) / np.sqrt(width)
    best = float(values.min())
    return int(steps[np.argmax(values <= best + max(EQUAL * abs(best), 2 * noise))])
