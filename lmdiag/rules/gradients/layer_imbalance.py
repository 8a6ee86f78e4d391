import re
from collections import defaultdict

import numpy as np

from lmdiag.figures import figure, times
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.layers import LayerTable
from lmdiag.run import Run
from lmdiag.stats.limits import BEFORE, SCATTER_FLOOR, SETTLED
from lmdiag.stats.noise import MAD_TO_SIGMA
from lmdiag.stats.windows import median, medians_beside

BLOCKS = 3  # alike layers from which they can be compared
RECORDS = 10
CONSECUTIVE, DEVIATIONS = 3, 8.0
MOST_RECORDS = 5000


@rule(family="gradients", needs=("layers",), severity=Severity.INFO, min_points=RECORDS)
def check(
    run: Run, table: LayerTable, *, notable: float = 100.0, warning: float = 1000.0, outbreak: float = 5.0
) -> Findings:
    """Gradients differ by orders of magnitude from layer to layer.

    ## What it looks for
    Layers of the same kind whose gradients lie far apart, and a layer whose gradient suddenly leaves the others behind.

    ## How it decides
    Among layers whose names differ in their number only (three or more), the largest median norm after the first tenth is `notable` times the smallest
    (information) or `warning` times (warning). In healthy transformers alike blocks lie within ten times. Else: the norm of a layer relative to the median
    of all layers rises `outbreak` times above its last 50 records, by eight robust deviations, in three records in a row (information).

    ## Why it matters
    Where the gradient vanishes on its way down, the lower layers stay as they were initialised. A single layer that breaks out, often the embedding,
    precedes spikes of the loss.

    ## False alarms it avoids
    Layers of different kinds and sizes, the first tenth, rises that all layers share (`gradient-spike`), single records.

    ## What to try
    Check the residual path, the normalisation and the scale of the initialisation. If the embedding breaks out: no weight decay on it, a smaller
    gradient for it.

    ## References
    - Zeng et al. 2023, GLM-130B, arXiv:2210.02414, section 3.2: embedding gradient shrink.
    - Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """
    if len(table.steps) < RECORDS:
        yield too_few(len(table.steps), "records of the layers", RECORDS)
        return
    if len(table.names) < BLOCKS:
        yield too_few(len(table.names), "layers", BLOCKS)
        return
    first = int(SETTLED * len(table.steps))
    every = max(1, (len(table.steps) - first) // MOST_RECORDS)
    table = LayerTable(table.names, table.steps[first::every], table.values[:, first::every])
    apart = _furthest_apart(table)
    if apart is not None and apart[2] >= notable:
        yield _vanishing_with_depth(table, *apart, warning)
        return
    complete = int((np.isfinite(table.values) & (table.values > 0)).all(axis=0).sum())
    if apart is None and complete < 2 * BEFORE:
        yield NotChecked(f"no {BLOCKS} layers are alike, and only {complete} records have all norms above 0")
        return
    yield from _outbreaks(run, table, outbreak)


def _furthest_apart(table: LayerTable) -> tuple[int, int, float] | None:
    """Return the layers of smallest and largest median norm within one kind, and the ratio of the two."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(table.names):
        if re.search(r"\d", name):
            kinds[re.sub(r"\d+", "#", name)].append(i)
    typical = np.nanmedian(np.where(np.isfinite(table.values), table.values, np.nan), axis=1)
    found = []
    for members in kinds.values():
        alive = [i for i in members if typical[i] > 0]
        if len(alive) >= BLOCKS:
            low, high = min(alive, key=typical.__getitem__), max(alive, key=typical.__getitem__)
            found.append((low, high, float(typical[high] / typical[low])))
    return max(found, key=lambda f: f[2], default=None)


def _vanishing_with_depth(table: LayerTable, low: int, high: int, ratio: float, warning: float) -> Finding:
    small, large = table.names[low], table.names[high]
    return Finding(
        f"The gradient of {small} is {times(ratio)} times smaller than that of {large} (median norms: "
        f"{figure(float(median(table.values[low])), 2)} and {figure(float(median(table.values[high])), 2)}).",
        int(table.steps[0]),
        int(table.steps[-1]),
        f"layers/{small}/grad_norm",
        {
            "ratio": ratio,
            "smallest": float(median(table.values[low])),
            "largest": float(median(table.values[high])),
        },
        (
            f"Check the residual path: its sums and its normalisation between {small} and {large}.",
            "Check the scale of the initialisation: the variance of activations should not change from layer to layer.",
            "If neither helps, use fewer layers.",
        ),
        Severity.WARNING if ratio >= warning else Severity.INFO,
    )


def _outbreaks(run: Run, table: LayerTable, outbreak: float) -> Findings:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(table.values)
    good = np.isfinite(logs).all(axis=0)
    logs, steps = logs[:, good], table.steps[good]
    if logs.shape[1] < 2 * BEFORE:
        return
    relative = logs - median(logs.T)
    for name, values in zip(table.names, relative):
        excess = _excess(values, outbreak)
        rows = np.flatnonzero(np.convolve(excess > 0, np.ones(CONSECUTIVE), "valid") >= CONSECUTIVE)
        if not len(rows):
            continue
        step, factor = int(steps[rows[0]]), float(np.exp(excess[rows[0] : rows[0] + CONSECUTIVE].max()))
        yield Finding(
            f"The gradient of {name} grew to {times(factor)} times its usual share at {run.place(step)}, while "
            "those "
            "of the other layers did not.",
            step,
            int(steps[min(rows[-1] + CONSECUTIVE - 1, len(steps) - 1)]),
            f"layers/{name}/grad_norm",
            {"ratio": factor, "records": len(rows) + CONSECUTIVE - 1},
            (
                f"Look at the loss near {run.place(step)}: did it jump after the gradient of {name}?",
                "For an embedding: no weight decay on it, or a tenth of its gradient; for attention: normalise queries "
                "and keys.",
            ),
        )


def _excess(values: np.ndarray, outbreak: float) -> np.ndarray:
    """Return the logarithm by which each record is above the 50 before it, 0 where it does not stand out:
    float64[n]."""
    before, _ = medians_beside(values, BEFORE)
    rise = np.nan_to_num(values - before, nan=0.0)
    rise[:BEFORE] = 0.0
    sigma = MAD_TO_SIGMA * float(median(np.abs(rise[BEFORE:])))
    return np.where((rise >= np.log(outbreak)) & (rise >= DEVIATIONS * max(sigma, SCATTER_FLOOR)), rise, 0.0)
