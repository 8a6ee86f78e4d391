"""Is a run worse than the runs before it, or better, beyond noise? The test that guards changes to training code.

The losses are compared at equal tokens (else equal steps), as relative differences, in windows over the whole curve and
in its last tenth. Two sources of chance are counted: the scatter of the points, by a block bootstrap of their difference,
and the seed, by how baseline runs differ among themselves, pooled with what is usual, for few baselines tell little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmdiag.errors import LmdiagError
from lmdiag.methods import LANGUAGE_MODEL, METHODS
from lmdiag.metrics import LN2
from lmdiag.naming import evaluation_set
from lmdiag.run import Run, Series

FEWEST_POINTS = 8  # in common, of each curve
FEWEST_EVALUATIONS = 5  # each is a mean over many tokens, always the same ones: few are enough
LEAST_REACH = 0.5  # of the shortest baseline: the beginning of a run says little about its end
MOST_BINS = 400
EDGES = (0.04, 0.08, 0.16, 0.32, 0.64, 1.0)  # of the common range; before it the start of training decides
TAIL = 0.9
LEVEL = 0.05  # one-sided; once for the tail, which decides, and once for all other windows together
DRAWS = 400
REWARDS = ("reward", "reward_margin", "reward_accuracy", "accuracy", "f1", "auc", "chosen_reward")  # higher is better
NOT_OF_TOKENS = ("preference", "reinforcement", "classification")  # kinds of runs whose loss is not that of a token
NARROW = 2.0  # times the tolerance: an interval that is not wider lets tell
LARGEST = 20.0  # natural logarithm of a ratio, beyond which no digit of it says anything
RANGE = "range of the baselines, + is worse"

Curve = tuple[np.ndarray, np.ndarray]  # positions and values

# How much runs of one recipe differ that share all but the seed: a constant, and as if one had trained this much longer.
# Measured on the bundled transformer; see docs/compare.md.
USUAL_SEED_NOISE = 0.003
USUAL_SEED_SHIFT = 0.02
# Of the range of the rewards: seeds of one policy differ that much (Henderson et al. 2018, arXiv:1709.06560)
USUAL_REWARD_NOISE = 0.05
USUAL_WEIGHT = 8  # baselines' own differences count like this many degrees of freedom of the usual


@dataclass(frozen=True)
class Window:
    """A stretch of the curves: `difference` is the candidate's loss relative to the baseline's, minus one; of rewards it is how much lower
    the candidate's is, in ranges of the baselines (`of_range`).

    `margin` is the half width of its 90% interval; `p` the probability of such a difference when the candidate is
    worse by no more than the tolerance, corrected for the number of windows (Holm) except at the end of the run.
    """

    first: float
    last: float
    difference: float
    margin: float
    p: float = 1.0
    of_range: bool = False

    @property
    def middle(self) -> float:
        """The difference on the scale of its margin: of losses a logarithm."""
        return self.difference if self.of_range else math.log1p(self.difference)

    @property
    def worse(self) -> bool:
        """Whether the candidate is worse here by more than the tolerance, beyond chance."""
        return self.p < LEVEL

    @property
    def interval(self) -> tuple[float, float]:
        """The 90% interval of the difference."""
        low, high = self.middle - self.margin, self.middle + self.margin
        return (low, high) if self.of_range else (math.expm1(low), math.expm1(high))

    @property
    def better(self) -> bool:
        """Whether the candidate is better here beyond chance."""
        return self.interval[1] < 0

    @property
    def told(self) -> str:
        """The difference with its interval, for a sentence.

        >>> Window(0.9, 1.0, -0.172, 0.0244).told
        '-17.2% (-19.2% to -15.2%)'
        """
        low, high = self.interval
        return f"{self.difference:+.1%} ({low:+.1%} to {high:+.1%})"


@dataclass(frozen=True)
class Comparison:
    """One metric of a candidate against its baselines.

    `unit` is "" of what has none. `verdict` is that of the gate: `regression`, `no-regression` or `cannot-tell`.
    """

    metric: str
    unit: str
    axis: str
    verdict: str
    why: str
    tail: Window | None = None
    windows: tuple[Window, ...] = ()
    coverage: float = 1.0

    @property
    def direction(self) -> str:
        """`worse` for a regression, `better` where the end of the run is so beyond chance, else `alike` or `cannot-tell`."""
        if self.verdict == "no-regression":
            return "better" if self.tail is not None and self.tail.better else "alike"
        return "worse" if self.verdict == "regression" else "cannot-tell"


def compare(
    baselines: Sequence[Run], candidate: Run, *, tolerance: float = 0.01, metrics: Sequence[str] = ()
) -> tuple[Comparison, ...]:
    """Compare the losses of a candidate with those of its baselines, training and evaluation by default.

    Raises LmdiagError where the runs cannot be compared: no common loss, or different tokenizers without `bytes_per_token`.
    """
    runs = [*baselines, candidate]
    unit, scales = loss_unit(runs)
    axis, positions = common_axis(runs)
    chosen = metrics or _judged_by(candidate, runs)
    if not chosen:
        raise LmdiagError(
            "the runs have no loss in common", "compare runs that log the same metric, or name it: --metric"
        )
    found = []
    for metric in chosen:
        curves = [_curve(run, metric, x, scale) for run, x, scale in zip(runs, positions, scales, strict=True)]
        fewest = FEWEST_EVALUATIONS if "/" in metric else FEWEST_POINTS
        rewarded = metric.rpartition("/")[2] in REWARDS
        curves = _as_losses(curves) if rewarded else curves
        other = None if rewarded else _other_losses(runs)
        compared = other or _compared(curves, tolerance, fewest, axis, rewarded)
        of_tokens = metric.rpartition("/")[2] == "loss" and candidate.kind not in NOT_OF_TOKENS
        unit_of = RANGE if rewarded else _unit(metric, runs, unit) if of_tokens else ""
        found.append(replace(compared, metric=metric, unit=unit_of, axis=axis))
    return tuple(found)


def _unit(metric: str, runs: Sequence[Run], unit: str) -> str:
    """Return the unit of a loss of the language; raise LmdiagError where it is that of tokens in one run and of bytes in another."""
    units = dict.fromkeys(run[metric].nats for run in runs)
    if len(units) > 1:
        raise LmdiagError(f"{metric} is in {' and in '.join(units)}", "compare runs that log the same unit")
    return unit if runs[0][metric].of_tokens else next(iter(units))


def _other_losses(runs: Sequence[Run]) -> Comparison | None:
    """Return that the losses cannot be compared where the runs minimise different ones, such as those of DPO and of a language model."""
    objectives = [(run.kind, run.objective if run.kind == LANGUAGE_MODEL else "") for run in runs]
    if len(set(objectives)) == 1:
        return None
    told = dict(zip(objectives, (METHODS[run.trained_by][1] for run in runs), strict=True))
    if len(set(told.values())) < len(told):
        told = dict(zip(objectives, (run.objective for run in runs), strict=True))
    return Comparison(
        "", "", "", "cannot-tell", f"the losses of the runs are of different objectives: {', '.join(told.values())}"
    )


def _judged_by(candidate: Run, runs: Sequence[Run]) -> list[str]:
    """Return what tells whether a run of this kind is worse, of what all of them have: the loss of a policy does not, its reward does; of
    preferences the margin and the accuracy of an evaluation do, and the loss, which a few pairs that are surely wrong decide, where there is neither."""
    losses = ["loss", _evaluation(candidate)]
    if candidate.kind == "reinforcement":
        wanted = [["reward", _evaluated("reward", candidate)]]
    elif candidate.kind == "preference":
        evaluated = _evaluated("reward_accuracy", candidate) or _evaluated("reward_margin", candidate)
        wanted = [["reward_margin", evaluated], losses]
    else:
        wanted = [losses]
    common = ([name for name in names if name and all(name in run for run in runs)] for names in wanted)
    return next((names for names in common if names), [])


def _evaluated(measure: str, run: Run) -> str:
    return next((name for name in run if name.endswith(f"/{measure}") and evaluation_set(name)), "")


def _as_losses(curves: list[Curve]) -> list[Curve]:
    """Return rewards as falling positive curves of which the logarithm is the reward, in ranges of the baselines.

    >>> falling = _as_losses([(np.arange(2.0), np.array([0.0, 5.0])), (np.arange(2.0), np.array([0.0, 4.0]))])
    >>> [np.log(values).round(3).tolist() for _, values in falling]
    [[0.0, -1.0], [0.0, -0.8]]
    """
    known = np.concatenate([values[np.isfinite(values)] for _, values in curves[:-1]])
    span = float(np.ptp(known)) if len(known) else 0.0
    return [(x, np.exp(-values / (span or 1.0))) for x, values in curves]


def verdict_of(comparisons: Sequence[Comparison]) -> str:
    """Return the verdict on all metrics: one regression is a regression, and one metric that can be judged is enough.

    >>> one = Comparison("loss", "", "step", "cannot-tell", "")
    >>> verdict_of([one, replace(one, verdict="no-regression")])
    'no-regression'
    """
    verdicts = {comparison.verdict for comparison in comparisons}
    return next((v for v in ("regression", "no-regression") if v in verdicts), "cannot-tell")


def direction_of(comparisons: Sequence[Comparison]) -> str:
    """Return the direction of all metrics: one that is worse decides, else the evaluation does where it can tell.

    >>> tail = Window(0.9, 1.0, -0.1, 0.02)
    >>> better = Comparison("loss", "", "step", "no-regression", "", tail)
    >>> direction_of([better]), direction_of([better, replace(better, tail=replace(tail, difference=0.0))])
    ('better', 'alike')
    """
    directions = [comparison.direction for comparison in comparisons]
    if "worse" in directions:
        return "worse"
    return next((found for found in reversed(directions) if found != "cannot-tell"), "cannot-tell")


def loss_unit(runs: Sequence[Run]) -> tuple[str, list[float]]:
    """Return the unit in which losses can be compared, and the factor for each run.

    Losses per token of different tokenizers say nothing about each other: they become bits per byte where the logs tell
    `bytes_per_token`, else this raises LmdiagError.
    """
    models = [model for run in runs if isinstance(model := run.config.get("model"), dict)]
    vocabularies = {size for model in models if (size := _positive(model.get("vocab_size")))}
    known = [bytes_ for run in runs if (bytes_ := _positive(run.config.get("bytes_per_token")))]
    spread = max(known) / min(known) if known else 1.0
    if len(vocabularies) <= 1 and spread < 1.02:
        return "nats per token", [1.0] * len(runs)
    if len(known) == len(runs):
        return "bits per byte", [1 / (LN2 * bytes_) for bytes_ in known]
    sizes = f"vocabularies of {', '.join(f'{size:.0f}' for size in sorted(vocabularies))} tokens"
    raise LmdiagError(
        f"the runs use different tokenizers ({sizes if len(vocabularies) > 1 else 'different bytes_per_token'})",
        "log bytes_per_token in the header of every run, so that bits per byte can be compared",
    )


def _positive(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 < value < 1e15 else 0.0


def common_axis(runs: Sequence[Run]) -> tuple[str, list[Series | None]]:
    """Return what the curves are aligned by, and tokens per step for each run where that is it."""
    tokens = [run.tokens for run in runs]
    if all(t is not None and len(t) > 1 for t in tokens):
        return "tokens", tokens
    return runs[0].step_kind, [None] * len(runs)


def _evaluation(run: Run) -> str:
    return run.evaluation[0] if run.evaluation else ""


def _curve(run: Run, metric: str, tokens: Series | None, scale: float) -> Curve:
    """Return positions on the common axis and values of one curve."""
    if metric not in run:
        raise LmdiagError(f"{run.source or run.name} has no {metric}", f"it has: {', '.join(run)}")
    series = run[metric]
    steps = series.steps.astype(float)
    x = steps if tokens is None else np.interp(steps, tokens.steps, tokens.values, left=np.nan)
    begun = ~np.isnan(x) & (x > 0)
    return x[begun], series.values[begun] * scale


def _compared(curves: list[Curve], tolerance: float, fewest: int, axis: str, rewarded: bool) -> Comparison:
    told = Comparison("", "", "", "cannot-tell", "")
    *base, (x, values) = curves
    if not np.isfinite(values).all() and all(np.isfinite(v).all() for _, v in base):
        first, unit = x[~np.isfinite(values)][0], f"{axis.removesuffix('s')}s"
        return replace(told, verdict="regression", why=f"the candidate is not finite from {first:,.0f} {unit} on")
    finite = [(cx[np.isfinite(v) & (v > 0)], v[np.isfinite(v) & (v > 0)]) for cx, v in curves]
    if len(finite[-1][0]) and all(np.array_equal(finite[-1], other) for other in finite[:-1]):
        return replace(told, verdict="no-regression", why="every value is the same")
    if min(len(cx) for cx, _ in finite) < fewest:
        return replace(told, why=f"a curve has fewer than {fewest} points")
    last = min(cx[-1] for cx, _ in finite)
    coverage = last / max(cx[-1] for cx, _ in finite)
    centres, logs = _binned(finite, last)
    if len(centres) < fewest:
        return replace(told, why=f"the curves have fewer than {fewest} points in common", coverage=coverage)
    windows = _windows(centres / last, logs, tolerance, USUAL_REWARD_NOISE if rewarded else USUAL_SEED_NOISE)
    windows = tuple(_in_ranges(window) for window in windows) if rewarded else windows
    judged = _judged(replace(told, windows=windows, tail=windows[-1], coverage=coverage), tolerance)
    reach = finite[-1][0][-1] / min(cx[-1] for cx, _ in finite[:-1])
    if judged.verdict == "no-regression" and reach < LEAST_REACH:
        return replace(judged, verdict="cannot-tell", why=f"the candidate ends after {reach:.0%} of the baselines")
    return judged


def _judged(comparison: Comparison, tolerance: float) -> Comparison:
    tail, worse = comparison.tail, [w for w in comparison.windows if w.worse]
    assert tail is not None
    if worse:
        most = tail if tail.worse else max(worse, key=lambda w: w.difference)
        where = "at the end" if most is tail else f"between {most.first:.0%} and {most.last:.0%} of the run"
        why = f"worse by more than {tolerance:.2%} beyond chance: {most.told} {where}"
        return replace(comparison, verdict="regression", why=why)
    surely_not_worse = tail.middle + tail.margin < math.log1p(tolerance)
    if tail.margin > max(NARROW * tolerance, 0.02) and not surely_not_worse:
        enough = math.ceil(100 * min(math.expm1(tail.interval[1]), tail.margin / NARROW))
        hint = f"; seeds of one policy differ as much, and a tolerance of {enough}% would pass" if tail.of_range else ""
        return replace(comparison, why=f"too noisy to tell: {tail.told} at the end{hint}")
    how = "better beyond chance" if tail.better else f"not worse by more than {tolerance:.2%} beyond chance"
    return replace(comparison, verdict="no-regression", why=f"{how}: {tail.told} at the end")


def _binned(curves: list[Curve], last: float) -> tuple[np.ndarray, np.ndarray]:
    """Return bin centres and mean log losses [curves, bins]; bins in which a curve has no point are left out."""
    count = min([MOST_BINS, *(int((x <= last).sum()) for x, _ in curves)])
    edges = np.linspace(0, last * (1 + 1e-9), count + 1)
    rows = []
    for x, values in curves:
        place = np.searchsorted(edges, x, "right") - 1
        inside = (place >= 0) & (place < count)
        points = np.bincount(place[inside], minlength=count)
        sums = np.bincount(place[inside], np.log(values[inside]), minlength=count)
        rows.append(np.where(points > 0, sums / np.maximum(points, 1), np.nan))
    logs = np.array(rows)
    filled = ~np.isnan(logs).any(axis=0)
    return ((edges[1:] + edges[:-1]) / 2)[filled], logs[:, filled]


def _windows(share: np.ndarray, logs: np.ndarray, tolerance: float, usual: float) -> tuple[Window, ...]:
    """Return the windows with at least three bins, the tail last; the others' p-values corrected for their number."""
    places = [np.flatnonzero((share > a) & (share <= b)) for a, b in zip(EDGES, EDGES[1:], strict=False)]
    tail = np.flatnonzero(share > TAIL)
    places = [p for p in places if len(p) >= 3] + [tail if len(tail) >= 3 else np.arange(len(share))[-3:]]
    residuals = _residuals(logs[-1] - logs[:-1].mean(axis=0))
    *windows, end = (_window(p, share, logs, residuals, tolerance, usual) for p in places)
    return (*_holm(windows), end)


def _window(
    at: np.ndarray, share: np.ndarray, logs: np.ndarray, residuals: np.ndarray, tolerance: float, usual: float
) -> Window:
    from scipy.special import stdtr, stdtrit

    base, candidate = logs[:-1, at].mean(axis=1), float(logs[-1, at].mean())
    difference = candidate - float(base.mean())
    seed, freedom = _seed_noise(base, _slope(share[at], logs[:-1, at].mean(axis=0)), usual)
    error = math.hypot(seed * math.sqrt(1 + 1 / len(base)), _bootstrap_error(residuals, len(at)))
    p = 1 - float(stdtr(freedom, (difference - math.log1p(tolerance)) / error))
    margin = min(float(stdtrit(freedom, 1 - LEVEL)) * error, LARGEST)
    shown = math.expm1(min(max(difference, -LARGEST), LARGEST))
    return Window(float(share[at[0]]), float(share[at[-1]]), shown, margin, p)


def _seed_noise(base: np.ndarray, slope: float, usual: float) -> tuple[float, int]:
    """Return the standard deviation between seeds in a window, and its degrees of freedom."""
    usual = math.hypot(usual, USUAL_SEED_SHIFT * slope)
    own = len(base) - 1
    squares = USUAL_WEIGHT * usual**2 + (own * float(base.var(ddof=1)) if own else 0.0)
    return math.sqrt(squares / (USUAL_WEIGHT + own)), USUAL_WEIGHT + own


def _slope(share: np.ndarray, logs: np.ndarray) -> float:
    """Return how fast the loss falls: the change of its logarithm per change of the logarithm of the position."""
    return float(np.polyfit(np.log(share), logs, 1)[0]) if len(share) > 2 else 0.0


def _residuals(difference: np.ndarray) -> np.ndarray:
    """Return the scatter of the difference around its own slow course, which is not chance but what is tested."""
    width = max(3, len(difference) // 10) | 1
    padded = np.pad(difference, width // 2, mode="reflect")
    return difference - np.convolve(padded, np.ones(width) / width, "valid")


def _bootstrap_error(residuals: np.ndarray, points: int) -> float:
    """Return the standard error of a mean of so many points: block bootstrap, blocks as long as scatter may hang together."""
    random = np.random.default_rng(0)
    block = min(max(3, round(points ** (1 / 3))), len(residuals), points)
    starts = random.integers(0, len(residuals) - block + 1, (DRAWS, -(-points // block)))
    drawn = residuals[(starts[:, :, None] + np.arange(block)).reshape(DRAWS, -1)[:, :points]]
    return float(drawn.mean(axis=1).std())


def _in_ranges(window: Window) -> Window:
    """Return a window of rewards with its difference in ranges of the baselines, of which `_as_losses` made a logarithm."""
    return replace(window, difference=math.log1p(window.difference), of_range=True)


def _holm(windows: list[Window]) -> list[Window]:
    """Return the windows with p-values corrected for their number (Holm 1979)."""
    corrected, running = list(windows), 0.0
    for rank, at in enumerate(sorted(range(len(windows)), key=lambda at: windows[at].p)):
        running = max(running, min(1.0, windows[at].p * (len(windows) - rank)))
        corrected[at] = replace(windows[at], p=running)
    return corrected
