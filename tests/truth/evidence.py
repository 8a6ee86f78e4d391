"""What the evidence of findings means, and how the log is asked whether it is so.

A number is known by its name, or by rule and name where several rules mean different things. `STATISTICS` are what only the rule can
compute: standard errors, correlations, fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from tests.truth.case import Case, levels, lowest_windows
from tests.truth.courses import closing, opening
from tests.truth.evidence_of_post_training import MEANINGS_OF_POST_TRAINING, Meaning, measured, same

STATISTICS = frozenset(
    "standard_errors standard_error rank_trend trend_z deviations mean_difference_in_sigma likeness spread amplitude amplitude_before band "
    "band largest_gain promised_gain expected_gain noise noise_before sigma detection_limit improvement came_in_the_run drop drop_share growth "
    "jump loss_rise late_share gradient_growth difference allowed regular_share noise_scale_in_batches typical_excess excess "
    "guess gain share_of_run share_of_the_level cost_steps times_its_noise recovery_records signs score step_size rise_share fall rebound rise crossings gap_before lost_s stretches ratio largest_ratio gradient_ratio before_s usual_s share gain_of_metric at_boundaries".split()
)


def settled(case: Case, share: float = 0.1) -> np.ndarray:
    return case.values[int(share * len(case.values)) :]


def median_of(part: Callable[[Case], np.ndarray]) -> Meaning:
    return lambda case, value: same(value, float(np.median(part(case))))


def is_a_level(case: Case, value: float) -> bool:
    """A level is the median or mean of some stretch of records, or one of them: it lies within what they reach, but for rounding."""
    ends = case.values.min(), case.values.max()
    return bool(ends[0] <= value <= ends[1]) or any(same(value, float(end)) for end in ends)


def first_records(case: Case, value: float) -> bool:
    """It is the median of the first records, of up to five."""
    return any(same(value, float(np.median(case.subject.thinned(1000).values[:k]))) for k in range(1, 6))


def last_quarter(case: Case) -> float:
    values = case.subject.thinned(1000).values
    return float(np.median(values[-(len(values) // 4) :]))


def evaluation(case: Case) -> np.ndarray:
    return case.run.evaluation[1].finite.values if case.run.evaluation else np.empty(0)


def lowest_level(case: Case, value: float) -> bool:
    """It is the median of the lowest window of some width before the onset."""
    series = case.subject.thinned(1000)
    onset = int(np.searchsorted(series.steps, case.finding.first_step))
    return any(same(value, level) for _, _, level in lowest_windows(series.values, onset))


def not_finite(case: Case) -> int:
    return int((~np.isfinite(case.logged.values)).sum())


def held(case: Case) -> int:
    return len(case.logged)


def zeros(case: Case) -> int:
    return int((case.logged.values == 0).sum())


def records(case: Case, value: float) -> bool:
    return value in (len(case.subject), held(case), len(case.during()), len(case.finding.steps))


def layer_medians(case: Case) -> list[float]:
    first = case.finding.first_step
    norms = (case.run[name] for name in case.run if name.startswith("layers/") and name.endswith("/grad_norm"))
    return [float(np.median(series.between(first, case.run.last_step).values)) for series in norms]


MEANINGS: dict[str, Meaning] = MEANINGS_OF_POST_TRAINING | {
    "early-divergence.before": lambda case, value: same(
        value, float(case.run.evaluation[1].finite.between(-1, case.finding.first_step - 1).values.min())
    ),
    "early-divergence.first": lambda case, value: same(value, float(case.values[0])),
    "early-divergence.lowest_later": lambda case, value: same(value, float(case.values[1:].min())),
    "early-divergence.best_later": lambda case, value: same(
        value, float(case.run.evaluation[1].finite.between(case.finding.first_step, case.run.last_step).values.min())
    ),
    # of the whole run
    "last_step": lambda case, value: value == case.run.last_step,
    "planned_steps": lambda case, value: value == case.header("max_steps"),
    "steps": lambda case, value: value == case.span,
    "epochs": lambda case, value: same(value, float(case.series("epoch").values.max())),
    "evaluations": lambda case, value: (
        value
        in (0, *(len(s) for n, s in case.run.series.items() if n.startswith(("val/", "test/"))), len(evaluation(case)))
    ),
    "peak": lambda case, value: same(value, float(case.series("lr").values.max())),
    "peak_lr": lambda case, value: same(value, float(case.series("lr").values.max())),
    "lr": lambda case, value: any(same(value, float(rate)) for rate in case.series("lr").values),
    "limit": lambda case, value: value == case.header("grad_clip"),
    "uniform": lambda case, value: same(
        value, math.log(case.header("vocab_size")) if case.header("vocab_size") > 1 else 13.0
    ),
    "reference": lambda case, value: any(
        same(value, float(v))
        for v in (
            *dict(case.run.config.get("reference_loss") or {}).values(),
            math.log(max(case.header("vocab_size"), 2)),
        )
    ),
    "warmup_steps": lambda case, value: (
        0 <= value <= case.span
        and case.at("lr", int(case.series("lr").steps[0] + value)) >= 0.95 * case.series("lr").values.max()
    ),
    # of places
    "saved_step": lambda case, value: any(
        event.step == value for event in case.run.events if event.kind == "checkpoint_saved"
    ),
    "from_step": lambda case, value: any(segment.last_step == value for segment in case.run.segments),
    "to_step": lambda case, value: any(segment.first_step == value for segment in case.run.segments),
    "repeated_steps": lambda case, value: (
        value == case.finding.evidence["from_step"] - case.finding.evidence["to_step"] + 1
    ),
    "half_at": lambda case, value: (
        value in case.subject.steps and case.at("lr", int(value)) <= 0.5 * case.series("lr").values.max()
    ),
    "copied_from": lambda case, value: value in case.subject.steps,
    "below_limit_at": lambda case, value: value in case.subject.steps and case.at(case.finding.metric, int(value)) < 1,
    "first_pass": lambda case, value: case.values.min() <= value <= case.values.max(),
    "resumes": lambda case, value: 1 <= value <= len(case.run.segments) + len(case.run.events),
    "period": lambda case, value: 0 < value <= case.span,
    "period_steps": lambda case, value: 0 < value <= case.span,
    # of the loss
    "best": lambda case, value: same(value, float(case.values.min())),
    "best_saved": lambda case, value: any(same(value, float(v)) for v in case.values),
    "minimum": lowest_level,
    "first": lambda case, value: same(value, float(case.values[0])),
    "first_loss": lambda case, value: same(value, max(float(case.values[0]), float(np.median(case.values[:3])))),
    "last_loss": lambda case, value: same(value, float(case.values[-1])),
    "last_finite_loss": lambda case, value: same(value, float(case.until("loss", case.finding.first_step)[-1])),
    "highest": lambda case, value: any(
        same(value, float(np.median(case.values[i : i + 3]))) for i in range(len(case.values) - 2)
    ),
    "constant-accuracy.lowest": lambda case, value: same(value, float(case.values.min())),
    "constant-accuracy.highest": lambda case, value: same(value, float(case.values.max())),
    "start": first_records,
    "not-learning.start": lambda case, value: (
        same(value, opening(measured(case))) if case.finding.metric == "grad_norm" else first_records(case, value)
    ),
    "end": is_a_level,
    "level": is_a_level,
    "level_before": is_a_level,
    "loss": lambda case, value: (
        same(value, float(np.median(case.run.curve[1].finite.values[-(len(case.run.curve[1].finite) // 4) :])))
        if case.run.curve
        else False
    ),
    "other_losses": lambda case, value: same(
        value, float(np.median(case.run["loss"].finite.values[case.run["loss"].finite.values != 0]))
    ),
    "evaluations_after": lambda case, value: (
        value
        in (
            len(case.values) - int(np.argmin(case.values)) - 1,
            int((case.subject.steps > case.finding.first_step).sum()),
        )
    ),
    "gap": lambda case, value: any(
        same(case.values[-1] - value, level)
        for _, level in levels(case.series("loss").values, len(case.series("loss")) - 1)
    ),
    "repeated-losses.value": lambda case, value: bool((case.values == value).all()),
    "bits_per_byte": lambda case, value: same(
        value, float(np.median(evaluation(case)[-3:])) / math.log(2) / case.header("bytes_per_token")
    ),
    "loss-spike.peak": lambda case, value: any(same(value, float(v)) for v in case.during()),
    "overfitting.end": lambda case, value: any(
        same(value, float(np.mean(case.values[-k:]))) for k in range(1, max(4, len(case.values) // 5 + 1))
    ),
    "too-low-loss.end": median_of(lambda case: case.values[-max(3, len(case.values) // 10) :]),
    "not-learning.end": lambda case, value: (
        same(value, closing(measured(case))) if case.finding.metric == "grad_norm" else same(value, last_quarter(case))
    ),
    "wrong-loss-scale.end": lambda case, value: same(value, last_quarter(case)),
    "worse-than-reference.level": median_of(lambda case: case.values[-max(3, len(case.values) // 10) :]),
    "plateau.level": median_of(
        lambda case: case.subject.thinned(1000).between(case.finding.first_step, case.finding.last_step).values
    ),
    "converged-early.level": median_of(lambda case: case.values[-3:]),
    "converged-early.share_after": lambda case, value: same(
        value, 1 - (case.finding.first_step - case.run.first_step) / (case.finding.last_step - case.run.first_step)
    ),
    "metric-disagreement.loss_rise": lambda case, value: same(
        value, float(np.median(case.values[-2:]) / case.values.min() - 1)
    ),
    "metric-disagreement.best": lambda case, value: same(value, float(case.values.max())),
    "fall_share": lambda case, value: same(
        value,
        1
        - case.finding.evidence["end"] / case.finding.evidence.get("level_before", case.finding.evidence.get("level")),
    ),
    "loss_at_end": lambda case, value: same(value, float(evaluation(case)[-1])),
    "fall_of_another": lambda case, value: any(
        same(value, 1 - float(np.median(s.values[-3:])) / float(s.between(0, case.finding.first_step).values[-1]))
        for s in case.run.evaluations.values()
        if len(s.between(0, case.finding.first_step))
    ),
    "end_of_another": lambda case, value: any(
        same(value, float(np.median(s.values[-3:]))) for s in case.run.evaluations.values()
    ),
    "sigma_share": lambda case, value: same(value, case.finding.evidence["sigma"] / abs(float(np.median(case.values)))),
    "times_the_evaluation": lambda case, value: (
        abs(
            value
            / float(
                np.median(case.values[len(case.values) // 2 :])
                / np.median(evaluation(case)[len(evaluation(case)) // 2 :])
            )
            - 1
        )
        < 0.2
    ),
    "wrong-loss-scale.ratio": lambda case, value: same(
        value, case.finding.evidence["first_loss"] / case.finding.evidence["uniform"]
    ),
    "training": lambda case, value: case.series("loss").values.min() <= value <= case.series("loss").values.max(),
    # of counts and shares
    "repeated": lambda case, value: value == len(case.during()),
    "after_records": lambda case, value: value == int((case.subject.steps < case.finding.first_step).sum()),
    "nats": lambda case, value: 0 < value < np.ptp(case.values),
    "records": records,
    "non-finite-loss.records": lambda case, value: value == not_finite(case),
    "non-finite-loss.share": lambda case, value: same(value, not_finite(case) / held(case)),
    "non-finite-gradient.records": lambda case, value: value == not_finite(case),
    "non-finite-gradient.share": lambda case, value: same(value, not_finite(case) / held(case)),
    "untrained-start.first_losses": lambda case, value: same(value, float(np.median(case.values[:3]))),
    "untrained-start.last_losses": lambda case, value: same(value, float(np.median(case.values[-5:]))),
    "masked-nan.records": lambda case, value: value == zeros(case),
    "masked-nan.share": lambda case, value: same(value, zeros(case) / held(case)),
    "zero-loss.records": lambda case, value: value == zeros(case),
    "zero-loss.share": lambda case, value: same(value, zeros(case) / held(case)),
    "zero_share": lambda case, value: same(value, float((case.values == 0).mean())),
    "missing-loss.records": lambda case, value: any(
        int((s.steps > case.subject.steps[-1]).sum()) == value for s in case.run.series.values()
    ),
    "missing-loss.share": lambda case, value: same(
        value, case.finding.evidence["records"] / (case.finding.evidence["records"] + held(case))
    ),
    "truncated-run.share": lambda case, value: same(value, case.run.last_step / case.header("max_steps")),
    "crashed-run.share": lambda case, value: same(value, case.run.last_step / case.header("max_steps")),
    "skipped_share": lambda case, value: same(
        value,
        float(case.series("skipped").between(case.finding.first_step, case.run.last_step).values.sum())
        / (case.run.last_step - case.finding.first_step + 1),
    ),
    "final_share": lambda case, value: same(
        value, float(case.series("lr").values[-1] / case.series("lr").values.max())
    ),
    "spikes": lambda case, value: value == len(case.finding.steps),
    "epoch_ends": lambda case, value: value <= math.ceil(float(case.series("epoch").values.max())),
    "with_drop": lambda case, value: value == len(case.finding.steps),
    "jumps": lambda case, value: value == len(case.finding.steps),
    "layers": lambda case, value: 1 <= value <= case.finding.evidence["of"],
    "of": lambda case, value: value == len(layer_medians(case)),
    # of other metrics
    "largest": lambda case, value: any(same(value, float(v)) for v in case.values),
    "layer-imbalance.largest": lambda case, value: any(same(value, m) for m in layer_medians(case)),
    "smallest": lambda case, value: any(same(value, m) for m in layer_medians(case)),
    "layer-imbalance.ratio": lambda case, value: same(
        value, case.finding.evidence["largest"] / case.finding.evidence["smallest"]
    ),
    "median_norm": median_of(settled),
    "norm_90": lambda case, value: same(value, float(np.quantile(settled(case), 0.9))),
    "norm_99": lambda case, value: same(value, float(np.quantile(settled(case), 0.99))),
    "before": lambda case, value: any(same(value, float(v)) for v in case.values),
    "after": lambda case, value: any(same(value, float(v)) for v in case.values),
    "weight-growth.ratio": lambda case, value: same(
        value, case.finding.evidence["after"] / case.finding.evidence["before"]
    ),
    "memory-growth.ratio": lambda case, value: same(
        value, case.finding.evidence["last_bytes"] / case.finding.evidence["first_bytes"]
    ),
    "slowdown.ratio": lambda case, value: same(
        value, case.finding.evidence["after_s"] / case.finding.evidence["before_s"]
    ),
    "early": median_of(lambda case: case.values[: max(1, len(case.values) // 5)]),
    "late": median_of(lambda case: case.values[-(len(case.values) // 3) :]),
    "usual": is_a_level,
    "rate": lambda case, value: same(value, float(case.values[-1])),
    "update_ratio": lambda case, value: (
        case.series("update_ratio").values.min() <= value <= case.series("update_ratio").values.max()
    ),
    "first_bytes": is_a_level,
    "last_bytes": is_a_level,
    "bytes_per_step": lambda case, value: (
        0.5
        < value
        * (case.subject.steps[-1] - case.subject.steps[0])
        / (case.finding.evidence["last_bytes"] - case.finding.evidence["first_bytes"])
        < 2
    ),
    "lost_share": lambda case, value: 0 < value < 1 and abs(1 / (1 - value) / case.finding.evidence["ratio"] - 1) < 0.3,
    "after_s": lambda case, value: value > case.finding.evidence["before_s"],
    "stall_s": lambda case, value: value > case.finding.evidence["usual_s"],
    "wait_s": lambda case, value: case.values.min() <= value <= case.values.max(),
    "logged_wait_s": lambda case, value: value <= case.values.sum() * (1 + 1e-9),
}


def untrue_evidence(case: Case) -> Iterator[str]:
    """Yield the evidence of a finding that its log does not bear out, and that of which nothing is known."""
    for name, value in case.finding.evidence.items():
        meaning = MEANINGS.get(f"{case.finding.rule}.{name}", MEANINGS.get(name))
        if meaning is None and name not in STATISTICS:
            yield f"nobody knows what {name} means"
        elif meaning is not None and not meaning(case, value):
            yield f"{name} is not {value}"
