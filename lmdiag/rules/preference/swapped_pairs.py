from __future__ import annotations

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.metrics import LN2
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median

WRONG, RIGHT = 0.35, 0.6
LAST = 3


@rule(family="preference", needs=("reward_accuracy",), severity=Severity.ERROR, min_points=3)
def check(run: Run, accuracies: Series, *, wrong: float = WRONG, right: float = RIGHT) -> Findings:
    """Pairs of the training and of the evaluation are ordered the opposite way.

    ## What it looks for
    Training that ranks its pairs correctly, beside an evaluation that ranks nearly all of its pairs the wrong way.

    ## How it decides
    The median accuracy of the last three evaluations is `wrong` or less, that of the last fifth of the training records `right` or more.

    ## Why it matters
    Chance is one half: far below it the model has learned the opposite of what the evaluation wants. One of the two has its columns swapped.

    ## False alarms it avoids
    Accuracies near one half, and evaluations at the very start, where ties count as wrong.

    ## What to try
    Compare which column is the better answer in both sets.

    ## References
    - Rafailov et al. 2023, Direct preference optimization, arXiv:2305.18290.
    """
    if len(accuracies) < 3:
        yield too_few(len(accuracies), "finite accuracies", 3)
        return
    sets = {
        name: s.finite for name, s in run.series.items() if name.endswith("/reward_accuracy") and len(s.finite) >= 2
    }
    if not sets:
        yield NotChecked("the log has no two evaluations of the accuracy")
        return
    trained = float(median(accuracies.values[-max(3, len(accuracies) // 5) :]))
    for name, series in sets.items():
        level = float(median(series.values[-LAST:]))
        if (
            level <= wrong
            and trained >= right
            and not np.allclose(
                run[name.replace("accuracy", "margin")].finite.values
                if name.replace("accuracy", "margin") in run
                else 1.0,
                0,
            )
        ):
            yield _finding(run, name, series, level, trained)


def _finding(run: Run, name: str, series: Series, level: float, trained: float) -> Finding:
    split = name.rpartition("/")[0]
    loss = run.series.get(f"{split}/loss")
    worse = ""
    if loss is not None and len(loss.finite) >= 2 and loss.finite.values[-1] > max(LN2, loss.finite.values[0]):
        worse = f", and the evaluation loss rose from {figure(float(loss.finite.values[0]), 3)} to {figure(float(loss.finite.values[-1]), 3)}, above ln 2"
    return Finding(
        f"{percent(trained).capitalize()} of the training pairs are ranked correctly, and {percent(level)} of those of {split}{worse}: "
        "one of the two sets has its answers swapped.",
        int(series.steps[0]),
        int(series.steps[-1]),
        name,
        {"evaluation": level, "training": trained},
        (
            f"Compare a pair of the training with one of {split}: which column holds the better answer?",
            "Swap the columns where they are wrong, and train again from the reference.",
        ),
    )
