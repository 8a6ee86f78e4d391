import re

import numpy as np

from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.layers import LayerTable
from lmdiag.patterns import lazy
from lmdiag.run import Run
from lmdiag.stats.limits import BEFORE, SCATTER_FLOOR
from lmdiag.stats.noise import MAD_TO_SIGMA
from lmdiag.stats.spikes import DEVIATIONS, SMALLEST, find_spikes
from lmdiag.stats.windows import median, medians_beside

EMBEDDING = lazy(r"(^|[._/])(wte|embed\w*|tok_embeddings|word_embeddings|embedding)([._/]|$)", re.IGNORECASE)
LEAD = 10  # records before a spike in which the embedding may lead
LEAST_SPIKES, LAYERS = 3, 3


@rule(family="gradients", needs=("curve", "layers"), severity=Severity.INFO, min_points=100)
def check(
    run: Run, curve: Curve, table: LayerTable, *, outbreak: float = 2.0, deviations: float = 6.0, share: float = 0.5
) -> Findings:
    """The gradient of the embedding jumps before the loss does.

    ## What it looks for
    Loss spikes that the embedding's gradient announces.

    ## How it decides
    The norm of the embedding's gradient, relative to the median layer, is compared with its 50 records before: `outbreak` times that and `deviations`
    robust standard deviations is a jump. At least three loss spikes (those of `loss-spike`), and in the ten records before `share` of them, the
    spike itself excluded, a jump; jumps are rarer elsewhere by a factor of four.

    ## Why it matters
    Large runs were seen to spike right after the embedding's gradient did: rare tokens, and weights that weight decay has made so small that a step
    changes much.

    ## False alarms it avoids
    Gradients that rise in all layers, jumps at the spike or after it, embeddings that jump all the time.

    ## What to try
    No weight decay on the embedding; a tenth of its gradient; a norm behind it.

    ## References
    - Zeng et al. 2023, GLM-130B, arXiv:2210.02414, section 3.2: embedding gradient shrink.
    - Groeneveld et al. 2025, OLMo 2, arXiv:2501.00656, section 3: no weight decay on embeddings.
    """
    if len(table.names) < LAYERS:
        yield too_few(len(table.names), "layers", LAYERS)
        return
    if len(table.steps) < 2 * BEFORE:
        yield too_few(len(table.steps), "records of the layers", 2 * BEFORE)
        return
    named = [i for i, name in enumerate(table.names) if EMBEDDING.search(name)]
    if not named:
        yield NotChecked("no layer is named as an embedding")
        return
    if (table.values <= 0).any() or not np.isfinite(table.values).all():
        yield NotChecked("a gradient norm of a layer is missing, or not above 0")
        return
    losses = curve.series
    spikes = find_spikes(losses.values, smallest=SMALLEST, deviations=DEVIATIONS)
    if len(spikes) < LEAST_SPIKES:
        return
    logs = np.log(table.values)
    jumps = _jumps(logs[named[0]] - median(logs.T), outbreak, deviations)
    peaks = np.searchsorted(table.steps, [losses.steps[s.first] for s in spikes])
    led = np.array([jumps[max(0, row - LEAD) : row].any() for row in peaks])
    elsewhere = float(jumps.mean()) * LEAD
    if led.mean() < max(share, 4 * elsewhere):
        return
    first = int(losses.steps[spikes[int(np.argmax(led))].peak])
    name = table.names[named[0]]
    yield Finding(
        f"The gradient of {name} jumps shortly before {int(led.sum())} of {len(spikes)} loss spikes.",
        first,
        int(losses.steps[spikes[-1].peak]),
        f"layers/{name}/grad_norm",
        {"spikes": len(spikes), "led": int(led.sum()), "jumps": int(jumps.sum())},
        (
            f"No weight decay on {name}.",
            f"Scale the gradient of {name} by 0.1, or normalise its output.",
            f"Look at the rare tokens in the batches of these {run.unit}s.",
        ),
        steps=tuple(int(losses.steps[s.peak]) for s, lead in zip(spikes, led) if lead),
    )


def _jumps(relative: np.ndarray, outbreak: float, deviations: float) -> np.ndarray:
    """Return at which records a layer stands above its own usual share of the gradient: bool[n]."""
    before, _ = medians_beside(relative, BEFORE)
    rise = np.nan_to_num(relative - before)
    sigma = max(MAD_TO_SIGMA * float(median(np.abs(rise))), SCATTER_FLOOR)
    jumps = (rise >= np.log(outbreak)) & (rise >= deviations * sigma)
    jumps[:BEFORE] = False
    return jumps
