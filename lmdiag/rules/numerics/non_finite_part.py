import numpy as np

from lmdiag import advice
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.naming import words_of
from lmdiag.run import Run, Series


@rule(family="numerics", needs=("curve",), severity=Severity.WARNING)
def check(run: Run, curve: Curve, *, records: int = 3) -> Findings:
    """A loss that is logged beside the main one becomes NaN or infinite, and stays so.

    ## What it looks for
    An auxiliary, distillation, CTC, generator or other loss with a name of its own, whose last values are all not finite, while
    the loss that is judged is finite.

    ## How it decides
    The last `records` values are not finite, and there is a finite one before them. Of several such losses the one that broke
    first is told, and the others named.

    ## Why it matters
    A total that is finite beside a part that is not does not hold that part: it is not trained any more, or the total was
    replaced or filtered before it was logged.

    ## False alarms it avoids
    A column without a finite value, or with NaN between values at an interval, which is a placeholder; single values, which come back: a batch without targets, a CTC loss
    of an input shorter than its text; values that are null or missing.

    ## What to try
    Compute the part of one batch behind the last finite value by hand: divisions by an empty set and logarithms of zero first.

    ## References
    - [torch.nn.CTCLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html), `zero_infinity`.
    """
    if run.kind in ("preference", "reinforcement"):
        yield NotChecked("non-finite-metric asks that of runs on preferences and by reinforcement")
        return
    if not np.isfinite(run[curve.metric].values[-1:]).all():
        return  # told as a loss that is not finite
    broken = {
        name: int(series.steps[since])
        for name, series in run.series.items()
        if (since := _broken_since(series, records)) is not None and _is_part(run, name)
    }
    if not broken:
        return
    name = min(broken, key=lambda name: broken[name])
    step, series = broken[name], run[name]
    count = int((series.steps >= step).sum())
    others = sorted(broken.keys() - {name})
    beside = f"; so {'does' if len(others) == 1 else 'do'} {', '.join(others)}" if others else ""
    yield Finding(
        f"{name} stops being finite at {run.place(step)}: its last {count:,} of {len(series):,} values are NaN or infinite, while {curve.metric} is finite to the end{beside}.",
        step,
        int(series.steps[-1]),
        name,
        {"records": count, "share": count / len(series)},
        (
            f"Compute {name} of the batch at {run.place(step)} by hand: an empty set, a division by zero, the logarithm of zero.",
            "Check that it still has a share in what is trained: a finite total does not hold it.",
            advice.rewind(run, step),
        ),
    )


def _is_part(run: Run, name: str) -> bool:
    """Tell whether a metric is called a loss, and no other rule asks whether it is finite."""
    judged = name in ("loss", "logged loss") or name.removesuffix("/loss") in run.evaluations
    words = words_of(name)
    return "loss" in words and words[-1] != "scale" and not judged


def _broken_since(series: Series, records: int) -> int | None:
    """Return the row of the first of the values to the end that are all not finite; None where they are fewer, or all."""
    if np.isfinite(series.values[-1:]).all():
        return None
    finite = np.flatnonzero(np.isfinite(series.values))
    if not len(finite) or len(series) - 1 - finite[-1] < records:
        return None
    return int(finite[-1]) + 1
