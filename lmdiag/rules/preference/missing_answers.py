from __future__ import annotations

from lmdiag.finding import Curve, Finding, Findings, Severity, rule
from lmdiag.run import Run

SIDES = {"chosen": "rejected", "rejected": "chosen"}
MEASURES = ("reward", "logp", "logit")
BOTH = ("reward_margin", "reward_accuracy")  # what only a pair has


@rule(family="preference", needs=("measured",), severity=Severity.ERROR, min_points=5)
def check(run: Run, _: Curve) -> Findings:
    """Only preferred, or only rejected answers are ever trained on.

    ## What it looks for
    A log that measures one side of the preferences and never the other.

    ## How it decides
    Rewards or log-probabilities of one side stand in the log, and none of the other in any record, nor a finite margin or accuracy, which need both.

    ## Why it matters
    With one kind of label there is nothing to tell apart: the policy learns to raise or to lower everything.

    ## False alarms it avoids
    Windows without one kind; logs that hold one side and the margin.

    ## What to try
    Count the labels of the data set that reaches the trainer: a filter or a type (the word "False" is true) has made them equal.

    ## References
    - Ethayarajh et al. 2024, KTO, arXiv:2402.01306.
    """
    if any(name in run and len(run[name].finite) for name in BOTH):
        return
    there = {side: [m for m in MEASURES if f"{side}_{m}" in run] for side in SIDES}
    for side, other in SIDES.items():
        if there[side] or not there[other]:
            continue
        yield Finding(
            f"The log measures {'rejected' if side == 'chosen' else 'preferred'} answers only: no record holds a "
            f"{'preferred' if side == 'chosen' else 'rejected'} one.",
            run.first_step,
            run.last_step,
            f"{other}_{there[other][0]}",
            {},
            (
                "Count the labels of the training set after all filters: all of them are the same.",
                "Check the type of the label: the word False counts as true.",
            ),
        )
