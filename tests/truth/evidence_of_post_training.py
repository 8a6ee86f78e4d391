"""What the evidence of findings on rewards and preferences means, by rule and name."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lmdiag.run import Series
from tests.truth.case import Case
from tests.truth.courses import MOST_POINTS, closing, last_third, opening, windows

Meaning = Callable[[Case, float], bool]


def same(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-12)


def first_level(case: Case, value: float) -> bool:
    return same(value, opening(case.subject))


def last_level(case: Case, value: float) -> bool:
    return same(value, closing(case.subject))


def largest(case: Case, value: float) -> bool:
    return same(value, float(case.values.max()))


def highest_of_tenths(case: Case, value: float) -> bool:
    return same(value, float(windows(case.subject, 10).values.max()))


def of_the_reward(level: Callable[..., float]) -> Meaning:
    return lambda case, value: same(value, level(case.series("reward")))


def at_onset(metric: str) -> Meaning:
    return lambda case, value: same(value, case.at(metric, case.finding.first_step))


def median_of_metric(metric: str) -> Meaning:
    return lambda case, value: same(value, float(np.median(case.series(metric).values)))


def seen(case: Case, name: str) -> float:
    return case.finding.evidence[name]


def measured(case: Case) -> Series:
    """Return what not-learning looks at in a policy without a gradient: its reward, else its loss."""
    rewarded = case.run.kind == "reinforcement" and "reward" in case.run
    return case.series("reward") if rewarded or case.run.curve is None else case.run.curve[1].finite


def zero_share(case: Case) -> float:
    """Return in which share of the records that could move the policy it stood still.

    Gradients count where the spread of the rewards is above 0 and not all groups are equal, divergences from the third record on.
    """
    if case.finding.metric != "grad_norm":
        return float((np.abs(case.values[2:]) <= 1e-9).mean())
    spread, equal = case.series("reward_std"), case.series("zero_std_share")
    differ = np.isin(case.subject.steps, spread.steps[spread.values > 0])
    if len(equal):
        differ &= np.isin(case.subject.steps, equal.steps[equal.values < 1])
    return float((case.values[differ] == 0).mean())


def without_reward(case: Case, value: float) -> bool:
    steps = case.run.curve[1].finite.steps if case.run.curve else max(case.run.series.values(), key=len).steps
    rewarded = case.run["reward"].steps if "reward" in case.run else steps[:0]
    return value == (int((steps > rewarded[-1]).sum()) if len(rewarded) else len(steps))


def no_signal(case: Case, value: float) -> bool:
    of_groups = case.finding.metric == "zero_std_share"
    late = case.values[len(case.values) // 3 :]
    return same(value, float(np.median(late) if of_groups else (late <= 1e-6).mean()))


def cut(case: Case) -> np.ndarray:
    """Return the shares of responses that are cut off: all or none where only their mean length is known."""
    if case.finding.metric == "truncated_share":
        return case.values
    return (case.values == case.values.max()).astype(float)


def cut_late(case: Case, value: float) -> bool:
    late = cut(case)[-len(last_third(case.subject)) :]
    return same(value, float(np.median(late) if case.finding.metric == "truncated_share" else late.mean()))


def trained_since(case: Case) -> Series:
    """Return the rewards of the training since what came apart from them began."""
    return case.series("reward").between(case.finding.first_step, np.inf)


def evaluated_then(case: Case, value: float) -> bool:
    """Tell whether this was the first evaluation, the highest level of evaluations, or the first level of a part of the reward."""
    first = float(case.values[0]) if len(case.values) else math.nan
    levels = windows(case.subject, 10).values
    return any(same(value, known) for known in (first, float(levels.max()), opening(case.subject)))


def evaluated_last(case: Case, value: float) -> bool:
    return any(same(value, known) for known in (float(np.median(case.values[-2:])), closing(case.subject)))


def size(case: Case) -> Series:
    return Series(case.subject.steps, np.abs(case.values))


MEANINGS_OF_POST_TRAINING: dict[str, Meaning] = {
    **{
        f"{rule}.{name}": level
        for rule in (
            "entropy-collapse entropy-explosion flat-reward length-explosion length-collapse reward-collapse useless-value-function "
            "flat-margin accuracy-at-half"
        ).split()
        for name, level in (("start", first_level), ("end", last_level))
    },
    "entropy-collapse.share": lambda case, value: same(value, seen(case, "end") / seen(case, "start")),
    "entropy-explosion.highest": highest_of_tenths,
    "flat-reward.reward_std": median_of_metric("reward_std"),
    "flat-reward.zero_std_share": median_of_metric("zero_std_share"),
    "flat-reward.records": lambda case, value: value == len(case.series("reward")),
    "frozen-policy.reward_std": median_of_metric("reward_std"),
    "frozen-policy.zero_share": lambda case, value: same(value, zero_share(case)),
    "kl-explosion.highest": largest,
    "kl-explosion.end": lambda case, value: same(value, float(windows(case.subject, 20).values[-1])),
    "kl-explosion.lowest": lambda case, value: same(value, float(windows(case.subject, 20).values.min())),
    "length-collapse.share": lambda case, value: same(value, seen(case, "end") / seen(case, "start")),
    "length-explosion.factor": lambda case, value: same(value, seen(case, "end") / seen(case, "start")),
    "length-explosion.truncated": lambda case, value: (
        same(value, closing(case.series("truncated_share"))) if "truncated_share" in case.run else value == 0
    ),
    **{
        f"loss-explosion.{name}": lambda case, value, level=level: same(value, level(size(case)))
        for name, level in (
            ("start", opening),
            ("end", closing),
            ("highest", lambda series: windows(series, 10).values.max()),
        )
    },
    "missing-reward.records": without_reward,
    "no-group-signal.share": no_signal,
    "no-group-signal.reward": of_the_reward(closing),
    "reward-hacking.start": evaluated_then,
    "reward-hacking.end": evaluated_last,
    "reward-hacking.reward_start": lambda case, value: same(value, opening(trained_since(case))),
    "reward-hacking.reward_end": lambda case, value: same(value, closing(trained_since(case))),
    "reward-collapse.highest": highest_of_tenths,
    "reward-collapse.last": lambda case, value: same(
        value, float(np.median(case.values[-max(3, len(case.values) // 25) :]))
    ),
    **{
        f"reward-collapse.{metric}": at_onset(metric)
        for metric in ("kl", "sequence_kl", "entropy", "response_length", "lr")
    },
    "sampler-mismatch.late": lambda case, value: same(value, float(np.median(last_third(case.subject)))),
    "sampler-mismatch.highest": largest,
    "too-large-updates.highest": highest_of_tenths,
    "too-large-updates.median": lambda case, value: same(
        value, float(np.median(case.subject.thinned(MOST_POINTS).values))
    ),
    "truncated-responses.start": lambda case, value: same(
        value, float(np.median(cut(case)[: min(max(3, len(case.values) // 10), 20)]))
    ),
    "truncated-responses.end": cut_late,
    "truncated-responses.limit": lambda case, value: (
        value
        == case.series(
            "response_length_max" if case.finding.metric == "truncated_share" else "response_length"
        ).values.max()
    ),
    "useless-value-function.value_loss": lambda case, value: same(value, case.at("value_loss", case.run.last_step)),
    "accuracy-at-half.second_half": lambda case, value: same(value, float(case.values[len(case.values) // 2 :].mean())),
    "accuracy-at-half.training": lambda case, value: same(
        value, float(case.series("reward_accuracy").values[len(case.series("reward_accuracy")) // 2 :].mean())
    ),
    "falling-likelihood.start": lambda case, value: (
        same(value, opening(case.subject))
        or (same(value, float(case.values[0])) and opening(case.subject) < 3 * case.values[0])
    ),
    "falling-likelihood.end": last_level,
    "falling-likelihood.factor": lambda case, value: same(value, seen(case, "end") / seen(case, "start")),
    "falling-chosen-reward.start": lambda case, value: value in (float(case.values[0]), opening(case.subject)),
    "falling-chosen-reward.end": last_level,
    "falling-chosen-reward.nats": lambda case, value: same(
        value, -seen(case, "end") / (case.run.config.get("config", {}).get("beta") or 0.1)
    ),
    "falling-chosen-reward.margin": lambda case, value: same(value, closing(case.series("reward_margin"))),
    "flat-margin.loss": lambda case, value: same(
        value,
        case.at("loss", case.run.last_step) if "records" in case.finding.evidence else closing(case.series("loss")),
    ),
    "flat-margin.evaluation": lambda case, value: any(
        same(value, closing(series)) for name, series in case.run.series.items() if name.endswith("/loss")
    ),
    "flat-margin.accuracy": lambda case, value: same(value, closing(case.series("reward_accuracy"))),
    "swapped-pairs.evaluation": lambda case, value: same(value, float(np.median(case.values[-3:]))),
    "swapped-pairs.training": lambda case, value: same(value, closing(case.series("reward_accuracy"))),
}
