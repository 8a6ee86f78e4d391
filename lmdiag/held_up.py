"""Did a loss fall only once its learning rate had? Behind a cut, with the decay, or the evaluations alone."""

from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import Advice, Finding, Severity
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import held_at
from lmdiag.stats.limits import HIGH_RATE
from lmdiag.stats.phases import Phases
from lmdiag.stats.release import Release, released
from lmdiag.stats.windows import median

# Nats: characters begin there as well; epochs; evaluations that show a course
SCRATCH, ONE_EPOCH, EVALUATIONS = 4.0, 1.5, 4
AT_HIGH, DECAYED = 6, 0.2  # evaluations while the rate was high; share of the peak that it fell to
CUT, CUT_RECORDS, FREED, AFTER_CUT = 0.6, 20, 0.8, 10  # the rate falls to this share at once, and the loss to that


def held_up(run: Run, metric: str, losses: Series, rates: Series, schedule: Phases) -> list[Finding]:
    """Say that the rate held the loss up until it fell: the first of three pictures that is seen."""
    return (
        _freed_by_cut(run, rates, metric, losses)
        or _falls_with_rate(run, rates, metric, losses)
        or _freed_by_decay(run, losses, schedule)
    )


def is_high(run: Run, series: Series, schedule: Phases) -> np.ndarray:
    """Return for each point of a series whether the rate was above half of its peak."""
    rates = run["lr"].finite
    return held_at(series.steps, rates.steps, rates.values) >= HIGH_RATE * schedule.peak


def _freed_by_cut(run: Run, rates: Series, metric: str, losses: Series) -> list[Finding]:
    """Say that the loss stood still from the start until the rate was cut, if both can be seen."""
    cuts = np.flatnonzero(rates.values[1:] <= CUT * rates.values[:-1]) + 1
    if not len(cuts) or not holds_start(run, losses):
        return []
    cut, rate, lower = int(rates.steps[cuts[0]]), float(rates.values[cuts[0] - 1]), float(rates.values[cuts[0]])
    before, after = losses.values[losses.steps < cut], losses.values[losses.steps >= cut][:AFTER_CUT]
    if len(before) < CUT_RECORDS or len(after) < AFTER_CUT // 2:
        return []
    quarter = len(before) // 4
    stood = median(before[-quarter:]) >= median(before[:quarter])
    level, freed = float(median(before)), float(median(after))
    if not stood or freed > FREED * before.min():
        return []
    finding = Finding(
        f"The learning rate of {figure(rate, 3)} was too high: the loss stood at {figure(level)} for {len(before):,} "
        f"records and fell to {figure(freed)} when the rate was cut to {figure(lower, 3)}.",
        int(losses.steps[0]),
        cut,
        metric,
        {"lr": rate, "level": level, "after": freed, "records": len(before)},
        (
            Advice(
                f"Begin with {figure(lower, 3)}: nothing was learned before {run.place(cut)}.",
                lr=advice.rounded(lower, 3),
            ),
            "Try even lower rates: the one it was cut to is only the first that worked.",
        ),
        Severity.WARNING,
    )
    return [finding]


def _falls_with_rate(run: Run, rates: Series, metric: str, losses: Series) -> list[Finding]:
    """Say that the loss fell as fast or faster once the rate had: it could not while that was high."""
    if run.kind != "language-model" or not holds_start(run, losses) or losses.values.min() <= 0:
        return []
    found = released(losses.values, held_at(losses.steps, rates.steps, rates.values))
    if found is None or not _is_learning(run, losses, found):
        return []
    since, turned = int(losses.steps[found.since]), int(losses.steps[found.turned])
    peak, end = float(rates.values.max()), int(losses.steps[-1])
    return [
        Finding(
            f"The learning rate of {figure(peak, 3)} was too high: the loss had a median of {figure(found.held)} around {run.place(turned)}, "
            f"until when the rate was above half of that, and has one of {figure(found.end)} at the end, after a fall that came with the rate.",
            since,
            end,
            metric,
            {
                "lr": peak,
                "half_at": turned,
                "level": found.held,
                "end": found.end,
                "fall_share": 1 - found.end / found.held,
            },
            (
                advice.lower_lr(run, since),
                "Compare both rates for a tenth of the run: the better one is ahead by then.",
            ),
            Severity.WARNING,
        )
    ]


def _is_learning(run: Run, losses: Series, found: Release) -> bool:
    """Tell whether the fall is no text learned by heart: the evaluation shares it, it came at a cut, or there was no time to see a text twice."""
    evaluation = run.evaluation_loss
    if evaluation is not None and len(evaluation[1].finite) >= EVALUATIONS:
        beside = evaluation[1].finite
        before = beside.values[beside.steps <= losses.steps[found.turned]]
        share = 1 - float(median(beside.values[-2:])) / float(before[-1]) if len(before) else 0.0
        return share >= 0.5 * (1 - found.end / found.held)
    epochs = run["epoch"].finite.values if "epoch" in run else np.zeros(1)
    once = float(np.ptp(epochs)) <= ONE_EPOCH
    return once and (found.cut or float(median(losses.values[:3])) >= SCRATCH)


def _freed_by_decay(run: Run, losses: Series, schedule: Phases) -> list[Finding]:
    """Say that the evaluations were never as good as the first one until the rate decayed, and far better then."""
    if run.evaluation_loss is None or not holds_start(run, losses) or schedule.final > DECAYED:
        return []
    metric, evaluations = run.evaluation_loss[0], run.evaluation_loss[1].finite
    high = evaluations.steps[is_high(run, evaluations, schedule)]
    if len(high) < AT_HIGH or high[-1] == evaluations.steps[-1]:
        return []
    until = evaluations.values[evaluations.steps <= high[-1]]
    first, best, end = float(until[0]), float(until[1:].min()), float(median(evaluations.values[-3:]))
    if best < first or end > FREED * first:
        return []
    better = int(evaluations.steps[int(np.argmax(evaluations.values < first))])
    lower = run.value_at("lr", better) or 0.0
    finding = Finding(
        f"The learning rate of {figure(schedule.peak, 3)} was too high: until it had fallen below half of that, none of {len(until):,} evaluations was better than the "
        f"first ({figure(first)}), and {metric} ended at a median of {figure(end)} once it had decayed.",
        int(evaluations.steps[0]),
        better,
        metric,
        {"peak": schedule.peak, "first": first, "after": end, "evaluations": len(until)},
        (
            Advice(
                f"Try a peak of {figure(lower, 2)}: only when the rate had fallen to it, at {run.place(better)}, was {metric} better than at first.",
                lr=advice.rounded(lower),
            ),
            "Compare with a tenth of the rate over a few hundred steps before the whole run.",
        ),
        Severity.WARNING,
    )
    return [finding]
