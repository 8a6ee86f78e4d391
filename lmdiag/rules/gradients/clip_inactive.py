import numpy as np

from lmdiag.advice import rounded
from lmdiag.figures import figure
from lmdiag.finding import NO_NORM, Advice, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import SETTLED
from lmdiag.stats.windows import block_medians, quantile

BLOCK = 50  # records that say what is usual


@rule(family="gradients", needs=("grad_norm",), severity=Severity.INFO, min_points=50)
def check(run: Run, norms: Series, *, loose: float = 10.0, spike: float = 5.0, spikes: int = 3) -> Findings:
    """The clipping limit is too high to catch the gradient spikes there are.

    ## What it looks for
    Gradient spikes that pass under a limit far above ordinary norms.

    ## How it decides
    The limit is `loose` times the 99th percentile of the norms or more, or there is none (0), and at least `spikes` records after the first tenth are
    `spike` times the median of their block of 50. Information: the spikes themselves are judged by `gradient-spike` and `loss-spike`.

    ## Why it matters
    A limit that never acts protects from nothing.

    ## False alarms it avoids
    Runs without spikes, which need no limit; the start of the run.

    ## What to try
    Set the limit between the 95th and the 99th percentile of the norms.

    ## References
    - Pascanu et al. 2013, On the difficulty of training recurrent neural networks, arXiv:1211.5063.
    """
    if run.config.get("grad_clip") is None:
        yield NotChecked("the log does not say the limit of the gradient norm")
        return
    limit = float(run.config["grad_clip"])
    norms = norms.at(slice(int(SETTLED * len(norms)), None))
    if len(norms) < BLOCK:
        yield too_few(len(norms), "gradient norms after the first tenth", BLOCK)
        return
    if not norms.values.any():
        yield NO_NORM
        return
    if norms.values.min() < 0:
        yield NotChecked("a gradient norm is below 0: it is not what its name says")
        return
    high = quantile(norms.values, 0.99)
    if 0 < limit < loose * high:
        return
    levels, starts = block_medians(norms.values, len(norms) // BLOCK)
    usual = levels[np.searchsorted(starts, np.arange(len(norms)), side="right") - 1]
    hits = np.flatnonzero((norms.values > spike * usual) & (usual > 0))
    if len(hits) < spikes:
        return
    top = float((norms.values[hits] / usual[hits]).max())
    stated = f"the limit is {figure(limit)}" if limit else "nothing is clipped"
    yield Finding(
        f"{len(hits):,} gradient norms are {spike:g} to {figure(top, 2)} times the usual one, and {stated} "
        f"(99% of all norms are below {figure(high, 3)}).",
        int(norms.steps[hits[0]]),
        int(norms.steps[hits[-1]]),
        "grad_norm",
        {"limit": limit, "norm_99": high, "spikes": len(hits), "largest_ratio": top},
        (
            Advice(f"Set the limit to {figure(high, 2)}, the 99th percentile of the norms.", grad_clip=rounded(high)),
            f"Look at the batches of these {run.unit}s.",
        ),
        steps=tuple(norms.steps[hits][:50].tolist()),
    )
