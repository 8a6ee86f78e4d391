import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps

PAIRS = 50
SETTLED = 0.5  # the noise scale is tiny at first and grows; the second half is what the batch should fit


@rule(family="gradients", needs=("grad_norm",), severity=Severity.INFO, min_points=PAIRS)
def check(run: Run, _: Series, *, noisy: float = 0.1, wasteful: float = 10.0) -> Findings:
    """The batch is far smaller or far larger than the gradient noise scale.

    ## What it looks for
    A batch so small that its gradient is mostly noise, or so large that most of its samples tell nothing new.

    ## How it decides
    From the squared norms of the whole batch (`grad_norm`) and of one micro-batch (`micro_grad_norm`) follow the squared norm of the true gradient,
    (B |G_B|^2 - b |G_b|^2) / (B - b), and its noise, (|G_b|^2 - |G_B|^2) / (1/b - 1/B). Both are averaged over the second half of the run, then divided: the noise
    scale, in tokens or sequences. Information when the batch is below `noisy` or above `wasteful` of it, in both halves of that stretch.

    ## Why it matters
    Below the noise scale, twice the batch takes nearly half the steps. Above it, twice the batch takes the same number of steps.

    ## False alarms it avoids
    The early noise scale, which is small in every run; ratios of single steps, which are biased.

    ## What to try
    Change the number of accumulation steps, and the learning rate with its square root.

    ## References
    - McCandlish et al. 2018, An empirical model of large-batch training, arXiv:1812.06162, appendix A.1.
    """
    parts = float(run.config.get("grad_accum") or 1) * float(run.config.get("world_size") or 1)
    if "micro_grad_norm" not in run or parts <= 1:
        yield NotChecked("the log has no gradient norm of single micro-batches (micro_grad_norm), or only one of them")
        return
    whole, micro = run["grad_norm"], run["micro_grad_norm"]
    left, right = shared_steps(whole.steps, micro.steps)
    steps = whole.steps[left]
    big, small = whole.values[left] ** 2, micro.values[right] ** 2
    good = np.isfinite(big) & np.isfinite(small)
    good[: int(SETTLED * len(good))] = False
    if good.sum() < PAIRS:
        yield NotChecked(
            f"only {int(good.sum())} records of the second half have both gradient norms; this needs {PAIRS}"
        )
        return
    steps, big, small = steps[good], big[good], small[good]
    middle = len(big) // 2
    scales = [_noise_scale(big[part], small[part], parts) for part in (slice(middle), slice(middle, None), slice(None))]
    if all(1 / s < noisy for s in scales if s > 0) and all(s > 0 for s in scales):
        yield _finding(run, steps, scales[-1], "far below", "the gradient is mostly noise", 2)
    elif all(1 / max(s, 1e-12) > wasteful for s in scales):
        yield _finding(run, steps, scales[-1], "far above", "most of its samples add nothing new", 0.5)


def _noise_scale(big: np.ndarray, small: np.ndarray, parts: float) -> float:
    """Return the noise scale in batches, infinite where the true gradient is lost in the noise."""
    signal = (parts * big.mean() - small.mean()) / (parts - 1)
    noise = (small.mean() - big.mean()) / (parts - 1)  # of the whole batch
    return float(noise / signal) if signal > 0 else float("inf")


def _finding(run: Run, steps: np.ndarray, scale: float, where: str, means: str, factor: float) -> Finding:
    batch, unit = run.config.get("batch_tokens"), "tokens"
    if not batch:
        batch, unit = run.config.get("batch_size"), "sequences"
    size = float(batch) if batch else 1.0
    what = f"{size:,.0f} {unit}" if batch else "one batch"
    noise = f"{figure(scale * size, 3)} {unit if batch else 'batches'}" if np.isfinite(scale) else "beyond measure"
    return Finding(
        f"The batch of {what} is {where} the gradient noise scale ({noise}): {means}.",
        int(steps[0]),
        int(steps[-1]),
        "grad_norm",
        {"noise_scale_in_batches": scale, "records": len(steps)},
        (
            f"Try {factor:g} times the accumulation steps, and a learning rate times {factor**0.5:.2g}.",
            "Compare at equal tokens, not at equal steps.",
        ),
    )
