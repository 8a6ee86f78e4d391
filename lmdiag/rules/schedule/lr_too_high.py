import numpy as np

from lmdiag import advice
from lmdiag.beginning import holds_start
from lmdiag.figures import figure, percent
from lmdiag.finding import NO_RATE, SHAPELESS, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.held_up import held_up, is_high
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LARGE_UPDATE, LEAST_PROGRESS, LONGEST, LOST
from lmdiag.stats.phases import Phases, phases
from lmdiag.stats.rebound import Rebound, sustained_rise
from lmdiag.stats.trend import total_gain
from lmdiag.stats.windows import median
from lmdiag.updates import began_with_the_run, growth, update_ratios

NEAR_PEAK, NO_WARM_UP = 0.7, 0.99
EARLY = 0.2  # share of the run
CLIPPED = 0.8
BEFORE = 50
RECORDS, STILL, HIGH, GROWN = 30, 0.05, 0.65, 2.0
WORSE = 0.05  # of the first evaluation: later ones that all are so much worse have learned nothing


@rule(family="schedule", needs=("curve", "lr"), severity=Severity.WARNING, min_points=12)
def check(run: Run, curve: Curve, rates: Series, *, signs: int = 2) -> Findings:
    """The learning rate is too high: the loss breaks away near its peak, or makes no progress, and the steps are too large.

    ## What it looks for
    A divergence, or a standstill at a high level, for which the learning rate, and not the data, is the likely cause.

    ## How it decides
    One of these pictures:

    | picture | asks for | grade |
    |---|---|---|
    | a rise that stays, as in `divergence` | from a step at which the rate is 70% of its peak or more, and `signs` (two) of those below | error where 30% of the progress is lost, else warning |
    | lost at once | early on the loss rises above its start; all evaluations after the first are 5% worse than that, or worse than the unigram entropy of the header; weights have doubled and updates move them by 3% or more of the norm they began with | error, from the record on which the loss left its start |
    | a standstill | while the rate is above half of its peak the loss gains less than 5% and stays above 65% of its start, or at the unigram entropy of the header; weights and updates as above | warning |
    | freed by a cut | 20 records or more from the start on without a fall, and a fifth below all of them when the rate was cut to 60% or less: such a log holds the experiment | warning |
    | held up | a language model falls by 15% of its level while the rate is below half of its peak, as fast or faster than before (without the first fifth of the run), and with the rate: half of it soon after a cut, or gradually in a decay. The evaluation must fall by half of that share; where there is none, the log must tell of no second epoch, and of a cut or a start from scratch | warning |
    | freed by the decay | six evaluations or more at above half of the peak, until then none better than the first, and a fifth below it in the end, at a fifth of the peak or less | warning |

    | sign, measured before the rise | from |
    |---|---|
    | early | it begins in the first fifth of the run, or within twice the warm-up |
    | no warm-up | the first rate is 99% of the peak |
    | large updates | 3% of the weights or more |
    | clipped | 80% of the gradients |
    | growing gradients | the norm had doubled |

    ## Why it matters
    Rewinding and skipping data does not help against a rate that is too high: it happens again.

    ## False alarms it avoids
    What annealing gains a sound run, up to 8% of its level; losses of texts that are learned by heart, which their evaluations do not share. Bad batches late in a run, rises at a decayed rate, spikes that come back. One sign alone says nothing.

    ## What to try
    The rate at which an update moves 1% of the weights, where the log tells how far they moved; else a tenth of the rate at which it began, or, late
    in a run, a third. A longer warm-up. To be sure, replay the same batches at the lower rate.

    ## References
    - Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities, arXiv:2309.14322.
    - Kosson et al. 2024, Rotational equilibrium, arXiv:2305.17212: AdamW moves weights by sqrt(2 lr wd) of their norm, 0.8% to 1.1% at 3e-4 to 6e-4 and 0.1.
    - Cohen et al. 2021, Gradient descent typically occurs at the edge of stability, arXiv:2103.00065.
    """
    if run.kind in ("reinforcement", "other"):
        yield NotChecked(f"a loss {SHAPELESS.get(run.objective, 'of several terms')} may rise")
        return
    metric, losses = curve.metric, curve.series.thinned(LONGEST)
    schedule = phases(rates.steps, rates.values)
    if schedule is None:
        yield NO_RATE
        return
    if len(losses) < 12:
        yield too_few(len(losses), "finite values of the loss", 12)
        return
    at_once = _lost_at_once(run, metric, losses, schedule)
    if at_once:
        yield from at_once
        return
    rise = sustained_rise(losses.values)
    if rise is None:
        yield from held_up(run, metric, losses, rates, schedule) or _standstill(run, metric, losses, schedule)
        return
    onset = int(losses.steps[rise.onset])
    rate = run.value_at("lr", onset) or 0.0
    if rate < NEAR_PEAK * schedule.peak:
        return
    seen = _signs(run, schedule, onset)
    if len(seen) < signs:
        return
    warmed_up = rates.values[0] < NO_WARM_UP * schedule.peak
    start = max(float(losses.values[0]), float(median(losses.values[:3])))
    low = "" if rise.single else "a median of "
    lost = rise.rise >= LOST * max(start - rise.low, LEAST_PROGRESS)
    yield Finding(
        f"The learning rate of {figure(rate, 3)} is too high: the loss rose from {low}{figure(rise.low)} to "
        f"{'a median' if rise.single else 'one'} of {figure(rise.high)} from {run.place(onset)} on; {'; '.join(seen)}.",
        onset,
        run.last_step,
        metric,
        _evidence(rate, schedule, rise, seen),
        (
            advice.lower_lr(run, onset),
            advice.warm_up(run, schedule.warm_step - run.first_step if warmed_up else 0),
            advice.clip(run, onset),
            f"Replay the same batches at the lower rate: if the loss rises at the same {run.unit} again, the data is "
            "the cause.",
        ),
        Severity.ERROR if lost else Severity.WARNING,
    )


def _lost_at_once(run: Run, metric: str, losses: Series, schedule: Phases) -> list[Finding]:
    """Say that the loss left its start upwards in the beginning, and that no evaluation shows that anything was learned."""
    updates, evaluation = update_ratios(run), run.evaluation_loss
    if updates is None or "param_norm" not in run or evaluation is None or not holds_start(run, losses):
        return []
    evaluations, grown = evaluation[1].finite.values, _growth(run["param_norm"].finite)
    share = float(median(updates.values * growth(run, updates.steps))) if len(updates) else 0.0
    if len(evaluations) < 3 or grown < GROWN or share < LARGE_UPDATE:
        return []
    first, best, onset = float(evaluations[0]), float(evaluations[1:].min()), _leaves_its_start(losses)
    if best < min((1 + WORSE) * first, _unigram(run)) or onset is None or not began_with_the_run(run, onset):
        return []
    rate = run.value_at("lr", onset) or schedule.peak
    held_against = (
        f" ({figure(first)} at first)" if best > first else ", worse than knowing only how often each token occurs"
    )
    finding = Finding(
        f"The learning rate of {figure(rate, 3)} is too high: from {run.place(onset)} on the loss rose, to above its start "
        f"({figure(losses.values[0])}), and no later evaluation is below {figure(best)}{held_against}; the weights grew "
        f"{figure(grown, 2)}-fold.",
        onset,
        run.last_step,
        metric,
        {"lr": rate, "peak": schedule.peak},
        (
            *advice.back_and_calmer(run, onset),
            f"Replay the same batches at the lower rate: if the loss rises at the same {run.unit} again, the data is "
            "the cause.",
        ),
        Severity.ERROR,
    )
    return [finding]


def _leaves_its_start(losses: Series) -> int | None:
    """Return the step at which the loss left its low for good to rise above where it started, None where it never did."""
    values, held = losses.values, max(3, len(losses) // 50)
    above = np.lib.stride_tricks.sliding_window_view(values, held).min(axis=1) > values[0]
    if not above.any():
        return None
    before = values[: int(np.argmax(above))]
    low = np.flatnonzero(before <= (before.min() + values[0]) / 2)
    return int(losses.steps[low[-1] + 1]) if len(low) else int(losses.steps[1])


def _growth(weights: Series) -> float:
    norms = weights.values
    return float(median(norms[len(norms) // 2 :]) / norms[0]) if len(norms) and norms[0] > 0 else 0.0


def _standstill(run: Run, metric: str, losses: Series, schedule: Phases) -> Findings:
    """Say that the run does not get on and that its steps are too large, if both can be seen."""
    warm = _at_high_rate(run, losses, schedule)
    updates, weights = _at_high_rate(run, run.series.get("update_ratio"), schedule), run.series.get("param_norm")
    if len(warm) < RECORDS or len(updates) < 3 or weights is None or not holds_start(run, losses):
        return
    start, end = float(median(losses.values[:3])), float(median(warm[-(len(warm) // 4) :]))
    grown, (gain, _) = _growth(weights.finite), total_gain(warm)
    change = float(median(updates)) * grown
    stuck = gain < STILL * end and end > min(HIGH * start, _unigram(run))
    if not stuck or change < LARGE_UPDATE or grown < GROWN:
        return
    yield Finding(
        f"The learning rate of {figure(schedule.peak, 3)} is too high: the loss has a median of {figure(end)} over the "
        f"last quarter of what was trained at a high rate, after {figure(start)} over its first three records, "
        f"each update moves the weights by {change:.0%} of the norm they began with, and they grew {figure(grown, 2)}-fold.",
        schedule.warm_step,
        run.last_step,
        metric,
        {"peak": schedule.peak, "start": start, "end": end, "update_ratio": change, "weight_growth": grown},
        (
            advice.lower_lr(run, schedule.warm_step),
            "If the loss stays where it is at a tenth of the rate, look at the labels and the attention mask instead.",
        ),
        Severity.WARNING,
    )


def _unigram(run: Run) -> float:
    """Return the loss of a model that knows token frequencies only, infinite where the header does not state it."""
    stated = run.config.get("reference_loss")
    unigram = stated.get("unigram") if isinstance(stated, dict) else None
    return 0.97 * float(unigram) if isinstance(unigram, int | float) else float("inf")


def _at_high_rate(run: Run, series: Series | None, schedule: Phases) -> np.ndarray:
    """Return the values logged while the rate was above half of its peak."""
    if series is None or not len(series):
        return np.empty(0)
    return series.finite.values[is_high(run, series.finite, schedule)]


def _signs(run: Run, schedule: Phases, onset: int) -> list[str]:
    """Return what, before the rise, said that the steps were too large."""
    first, span = run.first_step, max(run.last_step - run.first_step, 1)
    warm_up = schedule.warm_step - first
    seen = []
    if onset - first <= max(EARLY * span, 2 * warm_up):
        seen.append(f"the rise began {onset - first:,} {run.unit}s into the run")
    rates = run["lr"].finite
    if len(rates) and rates.values[0] >= NO_WARM_UP * schedule.peak:
        seen.append("there was no warm-up")
    updates = _before(run, "update_ratio", onset)
    if len(updates) >= 3 and median(updates) >= LARGE_UPDATE:
        seen.append(f"each update changed the weights by {median(updates):.0%}")
    norms, limit = _before(run, "grad_norm", onset), float(run.config.get("grad_clip") or 0)
    if len(norms) >= 10 and limit and (norms > limit).mean() >= CLIPPED:
        seen.append(f"{percent(float((norms > limit).mean()))} of the gradients before it were clipped")
    if len(norms) >= 2 * BEFORE and median(norms[-10:]) >= 2 * median(norms[-2 * BEFORE : -BEFORE]):
        seen.append("the gradient norm had doubled before it")
    return seen


def _before(run: Run, metric: str, step: int) -> np.ndarray:
    series: Series | None = run.series.get(metric)
    return np.empty(0) if series is None else series.finite.between(run.first_step, step - 1).values


def _evidence(rate: float, schedule: Phases, rise: Rebound, seen: list[str]) -> dict[str, float]:
    return {
        "lr": rate,
        "peak": schedule.peak,
        "rebound": rise.rise,
        "standard_errors": rise.errors,
        "signs": len(seen),
    }
