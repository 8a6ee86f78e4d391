import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import AT_CEILING
from lmdiag.stats.phases import phases
from lmdiag.stats.windows import median

JUST_BEFORE = 20  # pairs of records; a rounded curve that flattens repeats itself more and more
MOVED = 10  # records before the frozen stretch that show that the metric used to move
COARSE = 3.0  # a metric that moves by less than so many units of its rounding may well repeat itself
CERTAIN = 1e-6  # expected number of such stretches by chance in a whole log
NAMES = {"loss": "The loss", "grad_norm": "The gradient norm"}
DEAD_LR = 0.01  # share of the peak below which nothing need move


@rule(family="integrity", needs=("curve",), severity=Severity.INFO, min_points=20)
def check(run: Run, _: Curve, *, smallest: int = 5, warning: int = 20) -> Findings:
    """A metric stops changing.

    ## What it looks for
    Training loss, evaluation loss or gradient norm that repeats exactly the same value, record after record, after having moved.

    ## How it decides
    A stretch of `smallest` equal values or more, so long that chance cannot explain it: with p the share of equal neighbours among the 20 pairs just
    before it or in the rest of the log, whichever is larger (it is large in a rounded or converged log), n p^(k-1) is below one in a million for k values in a log of n. Before it, the metric
    moved by three units of its rounding or more from record to record. A loss of `warning` equal values,
    and 2% of the records, is a warning; less, or another metric, is information.

    ## Why it matters
    The program logs a stale variable, or the weights are not updated: what stands there is not what happened.

    ## False alarms it avoids
    Rounding, values carried forward from evaluation to evaluation, exact zeros (`masked-nan`), norms logged after clipping, a learning rate
    that has decayed to nothing.

    ## What to try
    Check that the logged variable is the one of this step. If it is, check that the optimizer still steps.

    ## References
    - own; the chance is that of a run of k equal neighbours under independence.
    """
    longest = max(len(series.finite) for _, series in _watched(run))
    if longest < MOVED + smallest:
        yield too_few(longest, "finite values of one metric", MOVED + smallest)
        return
    for metric, series in _watched(run):
        finite = series.finite
        found = _frozen(finite.values, smallest)
        if found is None or _rate_is_dead(run, int(finite.steps[found[0]])):
            continue
        first, length = found
        value, last = float(finite.values[first]), first + length - 1
        if metric == "grad_norm" and value >= (1 - AT_CEILING) * float(finite.values.max()):
            continue
        goes_on = " until the end of the log" if last == len(finite) - 1 else ""
        long = length >= max(warning, 0.02 * len(finite)) and metric == "loss"
        yield Finding(
            f"{NAMES.get(metric, metric)} is exactly {figure(value, 6)} in {length:,} records in a row, "
            f"from {run.place(int(finite.steps[first]))} on{goes_on}.",
            int(finite.steps[first]),
            int(finite.steps[last]),
            metric,
            {"records": length, "value": value},
            (
                f"Check that the program logs the {metric} of this {run.unit} and not a variable it no longer sets.",
                "If it does, check that the optimizer still steps: compare a weight before and after.",
            ),
            Severity.WARNING if long else Severity.INFO,
        )


def _watched(run: Run) -> list[tuple[str, Series]]:
    named = [(name, run[name]) for name in ("loss", "grad_norm") if name in run]
    return named + [(f"{split}/loss", losses) for split, losses in run.evaluations.items()]


def _frozen(values: np.ndarray, smallest: int) -> tuple[int, int] | None:
    """Return first index and length of the longest stretch of equal values, None where chance or rounding explain
    it."""
    if len(values) < MOVED + smallest or not (values[1:] == values[:-1]).any():
        return None
    starts = np.r_[0, np.flatnonzero(np.diff(values)) + 1]
    lengths = np.diff(np.r_[starts, len(values)])
    longest = int(np.argmax(lengths))
    first, length = int(starts[longest]), int(lengths[longest])
    if length < smallest or first < MOVED or values[first] == 0:
        return None
    if float(median(np.abs(np.diff(values[max(0, first - JUST_BEFORE) : first])))) < COARSE * _resolution(values):
        return None
    equal = np.diff(values) == 0
    outside = np.concatenate([equal[:first], equal[first + length - 1 :]])
    by_chance = max(
        (pairs.sum() + 1) / (len(pairs) + 1) for pairs in (equal[max(0, first - JUST_BEFORE) : first], outside)
    )
    return (first, length) if len(values) * by_chance ** (length - 1) < CERTAIN else None


def _resolution(values: np.ndarray) -> float:
    """Return the unit in which the values are rounded, 0 for more than six decimals."""
    rounded = [d for d in range(7) if np.array_equal(np.round(values, d), values)]
    return 10.0 ** -rounded[0] if rounded else 0.0


def _rate_is_dead(run: Run, step: int) -> bool:
    if "lr" not in run:
        return False
    schedule, lr = phases(run["lr"].steps, run["lr"].values), run.value_at("lr", step)
    return schedule is None or (lr is not None and lr <= DEAD_LR * schedule.peak)
