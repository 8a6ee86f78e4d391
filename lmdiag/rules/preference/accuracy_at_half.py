from __future__ import annotations

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course, first_lasting
from lmdiag.stats.windows import median

HALF = 0.53
KNOWN = 0.6
SWAPPED, NO_BETTER, GAP = 0.4, 0.55, 0.1


@rule(family="preference", needs=("reward_accuracy",), severity=Severity.WARNING, min_points=10)
def check(run: Run, accuracies: Series, *, half: float = HALF) -> Findings:
    """Preferred answers are ranked no better than by chance.

    ## What it looks for
    A share of correctly ranked pairs that stays at or below one half.

    ## How it decides
    Median and mean of the accuracies of the second half of the records are `half` or less and do not rise. An evaluation whose accuracy ends at 0.6 or more silences it. Or,
    from five evaluations on, the mean accuracy of the second half of them is 0.55 or less and 0.1 below that of the training.

    ## Why it matters
    A coin ranks half of the pairs correctly. A model that does no better has learned nothing of the preferences, or the labels say nothing.

    ## False alarms it avoids
    The first half of the run, where the accuracy of DPO is 0 (ties count as wrong) or one half by construction; few records.

    ## What to try
    Check the labels: below one half they may be swapped. Then the rate, and whether answers differ after truncation.

    ## References
    - Rafailov et al. 2023, Direct preference optimization, arXiv:2305.18290.
    - Chen et al. 2024, Preference learning algorithms do not learn preference rankings, arXiv:2405.19534.
    """
    values = accuracies.values
    if len(values) < 10:
        yield too_few(len(values), "finite accuracies", 10)
        return
    late = values[len(values) // 2 :]
    level, mean = float(median(late)), float(late.mean())
    moved = course(values)
    if max(level, mean) > half or (moved.rises and moved.trend > 3):
        yield from _only_trained(run, mean)
        return
    if _evaluated(run) >= KNOWN:
        return
    step = int(accuracies.steps[first_lasting(values <= half + 0.1)])
    swapped = mean < 0.4
    margin = run.value_at("reward_margin", run.last_step)
    yield Finding(
        f"{percent(mean).capitalize()} of the pairs are ranked correctly in the second half of the run: "
        f"{'fewer than by chance' if swapped else 'no more than by chance'}.",
        step,
        int(accuracies.steps[-1]),
        "reward_accuracy",
        {"second_half": mean, "end": moved.end, "start": moved.start},
        (
            "Read ten pairs: is the chosen answer the better one? Below one half the columns may be swapped.",
            "Check that both answers differ after truncation and have the same template.",
            *(
                (
                    f"The loss falls all the same: the margin of {figure(margin, 2)} at the end comes from few pairs: look at them.",
                )
                if margin and np.isfinite(margin) and _loss_falls(run)
                else ()
            ),
        ),
    )


def _loss_falls(run: Run) -> bool:
    losses = run["loss"].finite.values if "loss" in run else np.empty(0)
    return len(losses) >= 5 and course(losses).falls


def _only_trained(run: Run, trained: float) -> Findings:
    """Tell of evaluations that stay at chance while the pairs of the training are learned by heart."""
    for name, series in run.series.items():
        values = series.finite.values
        if not name.endswith("/reward_accuracy") or len(values) < 5 or not values.any():
            continue
        late = values[len(values) // 2 :]
        level = float(late.mean())
        if SWAPPED < level <= NO_BETTER and trained >= level + GAP:
            yield Finding(
                f"{percent(level).capitalize()} of the pairs of {name.rpartition('/')[0]} are ranked correctly in the second half of the run, and "
                f"{percent(trained)} of the training pairs: they are learned by heart, and nothing of them carries over.",
                int(series.steps[0]),
                int(series.steps[-1]),
                name,
                {"second_half": level, "training": trained},
                (
                    "Read ten pairs: labels that say nothing can only be memorised.",
                    "Check that both sets have the same template and come from the same source.",
                    "Fewer epochs do not help here: better labels, or more pairs, do.",
                ),
            )


def _evaluated(run: Run) -> float:
    sets = [s.finite.values for name, s in run.series.items() if name.endswith("/reward_accuracy")]
    return max((float(values[-1]) for values in sets if len(values)), default=0.0)
