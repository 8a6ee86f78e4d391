import numpy as np

from lmdiag.advice import rounded
from lmdiag.figures import figure, percent
from lmdiag.finding import NO_NORM, Advice, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import AT_CEILING, SETTLED
from lmdiag.stats.windows import median, quantile

CEILING_SHARE = 0.6
BROKEN = 1000.0  # median norm
PRECISE = 2  # decimals from which equal norms mean a ceiling and not rounding


@rule(family="gradients", needs=("grad_norm",), severity=Severity.INFO, min_points=20)
def check(run: Run, norms: Series, *, smallest: float = 0.2, warning: float = 0.8, severe: float = 50.0) -> Findings:
    """Nearly every gradient is clipped.

    ## What it looks for
    A clipping limit that acts on ordinary steps instead of on exceptions.

    ## How it decides
    The share of the steps, after the first tenth, whose norm is above the limit of the header (or the logged clip fraction) is `smallest` or more. Without a
    limit in the header, 60% of the norms within half a percent of their maximum show that norms were logged after clipping. It is a warning from
    `warning` on where the median norm is `severe` times the limit; below that an adaptive optimizer hardly notices: healthy runs with the usual limit
    of 1.0 have median norms of up to 8, those that were labelled as broken of more than 1,000.

    ## Why it matters
    The step size is then set by the limit: gradients keep their direction and lose their size, and plain SGD runs at a fraction of its learning rate.

    ## False alarms it avoids
    The large gradients of the first tenth; norms that are constant by rounding.

    ## What to try
    Raise the limit to the 90th percentile of the norms; or lower the learning rate if the norms are large because the run is unstable.

    ## References
    - Pascanu et al. 2013, arXiv:1211.5063; Godbole et al. 2023, Deep learning tuning playbook: clip at the 90th percentile.
    """
    norms = norms.at(slice(int(SETTLED * len(norms)), None))
    limit = float(run.config.get("grad_clip") or 0)
    if len(norms) < 10:
        yield too_few(len(norms), "gradient norms after the first tenth", 10)
        return
    ceiling = _ceiling(norms)
    if ceiling is not None and (not limit or abs(ceiling / limit - 1) < 2 * AT_CEILING):
        yield from _after_clipping(norms, ceiling)
        return
    if not limit and "clip_frac" not in run:
        yield NotChecked("the log says neither the limit of the gradient norm nor how often it was reached")
        return
    if "clip_frac" not in run and not norms.values.any():
        yield NO_NORM
        return
    share = _share(run, norms, limit)
    if share < smallest:
        return
    typical, high = float(median(norms.values)), quantile(norms.values, 0.9)
    far = limit > 0 and typical >= severe * limit
    yield Finding(
        f"{percent(share).capitalize()} of the steps are clipped: the median norm is {figure(typical, 3)}"
        + (f", the limit {figure(limit)}." if limit else "."),
        int(norms.steps[0]),
        int(norms.steps[-1]),
        "grad_norm",
        {"share": share, "median_norm": typical, "norm_90": high, **({"limit": limit} if limit else {})},
        _advice(run, typical, high, far),
        Severity.WARNING if share >= warning and far else Severity.INFO,
    )


def _advice(run: Run, typical: float, high: float, far: bool) -> tuple[str, ...]:
    if far and typical >= BROKEN:
        return (
            f"Leave the limit until it is known why the norms are so large: norms of {figure(typical, 3)} are those of a summed loss, of "
            "weights that are far too large, or of a model that has blown up.",
            "Compute the loss of one batch by hand, and look at the norm of the weights.",
        )
    limit = f"the limit to {figure(high, 2)}, the 90th percentile of the norms"
    if far or "sgd" in str(run.config.get("optimizer", "")).lower():
        raised = Advice(f"Raise {limit}, so that it clips only exceptions.", grad_clip=rounded(high))
        return raised, "If the norms grow during the run, lower the learning rate instead."
    words = f"With an adaptive optimizer there is nothing to change; with plain SGD, raise {limit}."
    return (Advice(words, about="grad_clip"),)


def _share(run: Run, norms: Series, limit: float) -> float:
    if "clip_frac" in run:
        logged = run["clip_frac"].finite
        logged = logged.values[logged.steps >= norms.steps[0]]
        if len(logged):
            return float(np.clip(logged, 0, 1).mean())
    return float((norms.values > limit).mean()) if limit else 0.0


def _ceiling(norms: Series) -> float | None:
    """Return the norm that most records have and none exceeds: the log holds norms after clipping."""
    top = float(norms.values.max())
    near = norms.values >= (1 - AT_CEILING) * top
    precise = norms.decimals is None or norms.decimals >= PRECISE
    return top if precise and CEILING_SHARE <= near.mean() < 1 and top > 0 else None


def _after_clipping(norms: Series, ceiling: float) -> Findings:
    share = float((norms.values >= (1 - AT_CEILING) * ceiling).mean())
    yield Finding(
        f"{share:.0%} of the logged gradient norms are {figure(ceiling, 3)}, and none is larger: they were logged "
        "after clipping, and most steps are clipped.",
        int(norms.steps[0]),
        int(norms.steps[-1]),
        "grad_norm",
        {"share": share, "limit": ceiling},
        (
            "Log the norm before clipping (clip_grad_norm_ returns it): spikes and growth do not show after it.",
            "Then set the limit at the 90th percentile of those norms.",
        ),
        Severity.INFO,
    )
