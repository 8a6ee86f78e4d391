import numpy as np

from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median

TARGETS = lazy(r"(^|[/_])(?:num_?|n_?)?(?:target|loss|label|supervised|trainable|unmasked)_tokens$")


@rule(family="data", needs=("tokens",), severity=Severity.INFO, min_points=3)
def check(run: Run, total: Series, *, info: float = 0.3, warning: float = 0.05) -> Findings:
    """Most tokens carry no loss.

    ## What it looks for
    Batches in which nearly everything is padding or masked, so that the compute is spent on tokens nothing is learned from.

    ## How it decides
    The log must count target tokens beside all tokens. Both are cumulative, or both per step; the share of targets below `info` (30%) is information,
    below `warning` (5%) a warning. Chat fine-tuning masks the prompts on purpose and often has 20 to 50%.

    ## Why it matters
    With 5% targets, twenty times the compute is spent per learned token, and the loss is an average over few tokens: noisy.

    ## False alarms it avoids
    Logs without a count of target tokens; counts that reset or exceed the total.

    ## What to try
    Pack several sequences into one, sort by length, and check that the mask hides what it should.

    ## References
    - Krell et al. 2021, Efficient sequence packing without cross-contamination, arXiv:2107.02027.
    """
    named = [name for name in run if TARGETS.search(name.lower())]
    if not named:
        yield NotChecked("the log does not count target tokens")
        return
    targets = run[named[0]].finite
    share = _share(targets, total)
    if share is None:
        yield NotChecked("the count of target tokens cannot be compared with that of all tokens")
        return
    if share >= info:
        return
    yield Finding(
        f"Only {share:.1%} of the tokens count towards the loss.",
        int(targets.steps[0]),
        int(targets.steps[-1]),
        named[0],
        {"share": share},
        (
            "Decode one batch and print which tokens count towards the loss.",
            "Pack short sequences together, or sort them by length.",
        ),
        Severity.WARNING if share < warning else Severity.INFO,
    )


def _share(targets: Series, total: Series) -> float | None:
    """Return the share of target tokens; None where the two counts cannot be compared."""
    _, left, right = np.intersect1d(targets.steps, total.steps, return_indices=True)
    if len(left) < 3:
        return None
    some, every = targets.values[left], total.values[right]
    if (np.diff(some) < 0).any():  # counts per step beside a cumulative total
        every = np.diff(every)
        some = some[1:]
    if (some < 0).any() or (every <= 0).any() or (some > every * 1.001).any():
        return None
    return float(median(some / every))
