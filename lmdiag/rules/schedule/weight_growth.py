import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.phases import phases
from lmdiag.stats.windows import block_medians

SETTLED = 0.3
BLOCKS = 10
IMPROVED = 0.01


@rule(family="schedule", needs=("param_norm", "curve"), severity=Severity.INFO, min_points=20)
def check(run: Run, norms: Series, curve: Curve, *, growth: float = 2.0, jump: float = 1.5) -> Findings:
    """The weights keep growing while the loss does not improve, or change size at once.

    ## What it looks for
    A parameter norm that doubles late in the run to no effect, or that jumps from one record to the next.

    ## How it decides
    From 30% of the run, or from the end of warm-up if that is later, the norm grows to `growth` times while the loss falls by less than 1%; or between two
    records after the first tenth it grows or shrinks `jump` times. Information: growth is how weights without decay behave.

    ## Why it matters
    Ever larger weights make logits saturate and updates relatively smaller. A jump means that other weights were loaded.

    ## False alarms it avoids
    The growth of the first third, which is part of learning; growth while the loss falls.

    ## What to try
    Weight decay (0.1 with AdamW) on matrices, not on norms and biases; check what was loaded at a jump.

    ## References
    - Kosson et al. 2024, Rotational equilibrium, arXiv:2305.17212.
    """
    norms = norms.at(norms.values > 0)
    if len(norms) < 20:
        yield too_few(len(norms), "norms of the weights above 0", 20)
        return
    late = norms.at(slice(len(norms) // 10, None))
    ratios = late.values[1:] / late.values[:-1]
    if ratios.max() >= jump or ratios.min() <= 1 / jump:
        largest = int(np.argmax(np.abs(np.log(ratios))))
        yield _jump(run, late, largest, float(ratios[largest]))
        return
    settled = norms.between(_settled_step(run, norms), run.last_step)
    if len(settled) < BLOCKS:
        yield too_few(len(settled), "norms of the weights after the warm-up", BLOCKS)
        return
    levels, _ = block_medians(settled.values, BLOCKS)
    grown = float(levels[-1] / levels[0])
    if grown < growth:
        return
    beside = curve.series.between(int(settled.steps[0]), run.last_step).values
    if len(beside) < BLOCKS:
        yield too_few(len(beside), "values of the loss while the weights grew", BLOCKS)
        return
    if not _improves(beside):
        yield _growth(run, settled, grown)


def _settled_step(run: Run, norms: Series) -> int:
    schedule = phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    return max(int(norms.steps[int(SETTLED * len(norms))]), schedule.warm_step if schedule else 0)


def _improves(losses: np.ndarray) -> bool:
    levels, _ = block_medians(losses, BLOCKS)
    return bool(levels[-2:].min() < (1 - IMPROVED) * levels[0])


def _jump(run: Run, norms: Series, at: int, ratio: float) -> Finding:
    step = int(norms.steps[at + 1])
    return Finding(
        f"The norm of the weights went from {figure(norms.values[at])} to {figure(norms.values[at + 1])} "
        f"at {run.place(step)}, {figure(ratio, 2)} times as much.",
        step,
        step,
        "param_norm",
        {"before": float(norms.values[at]), "after": float(norms.values[at + 1]), "ratio": ratio},
        (f"Check what was loaded or re-initialised at {run.place(step)}; if nothing was, look at the update there.",),
    )


def _growth(run: Run, norms: Series, grown: float) -> Finding:
    return Finding(
        f"The norm of the weights grew {figure(grown, 2)}-fold from {run.place(int(norms.steps[0]))} on, while the "
        "loss did not improve.",
        int(norms.steps[0]),
        int(norms.steps[-1]),
        "param_norm",
        {"growth": grown, "end": float(norms.values[-1])},
        (
            "Set weight decay (0.1 is usual with AdamW) on matrices; leave norms and biases out.",
            "Lower the learning rate: in equilibrium the norm grows with its square root.",
        ),
    )
