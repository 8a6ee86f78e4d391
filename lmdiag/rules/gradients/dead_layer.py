import numpy as np

from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.layers import LayerTable
from lmdiag.run import Run

RECORDS = 5


@rule(family="gradients", needs=("layers",), severity=Severity.WARNING, min_points=RECORDS)
def check(run: Run, table: LayerTable, *, dead_below: float = 1e-8, share: float = 0.5) -> Findings:
    """A layer receives no gradient.

    ## What it looks for
    Layers whose gradient norm is zero, or nothing beside that of the whole model.

    ## How it decides
    Below `dead_below` of the norm over all layers in more than `share` of the records where that is above zero. Information when half of the layers or
    more are dead: then they are frozen on purpose, as under adapters.

    ## Why it matters
    What receives no gradient is not trained: a detached branch, a frozen part, a dead activation.

    ## False alarms it avoids
    Steps on which no layer has a gradient (`vanishing-gradient`); adapters over a frozen model; five records are needed.

    ## What to try
    After one backward pass list the parameters whose `grad` is None or zero; look for `detach()`, `no_grad()` and parameters the optimizer does not hold.

    ## References
    - Amazon SageMaker Debugger, rule AllZero.
    """
    if len(table.names) < 2:
        yield too_few(len(table.names), "layers", 2)
        return
    if len(table.steps) < RECORDS:
        yield too_few(len(table.steps), "records of the layers", RECORDS)
        return
    whole = np.sqrt(np.nansum(np.where(np.isfinite(table.values), table.values, 0.0) ** 2, axis=0))
    live = whole > 0
    if live.sum() < RECORDS:
        yield too_few(int(live.sum()), "records with a gradient in any layer", RECORDS)
        return
    dead = np.abs(table.values[:, live]) <= dead_below * whole[live]
    shares = dead.mean(axis=1)
    chosen = np.flatnonzero(shares > share)
    if len(chosen):
        yield _finding(run, table, table.steps[live], dead, shares, chosen)


def _finding(
    run: Run, table: LayerTable, steps: np.ndarray, dead: np.ndarray, shares: np.ndarray, chosen: np.ndarray
) -> Finding:
    onset = int(steps[int(np.argmax(dead[chosen].any(axis=0)))])
    names = [table.names[i] for i in chosen]
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    on_purpose = 2 * len(chosen) >= len(table.names)
    reason = ", perhaps frozen on purpose" if on_purpose else ""
    least = float(shares[chosen].min())
    often = "any record" if least == 1 else f"at least {int(100 * least)}% of the records, from {run.place(onset)} on"
    return Finding(
        f"{len(chosen)} of {len(table.names)} layers receive{'s' if len(chosen) == 1 else ''} no gradient in {often}: "
        f"{listed}{reason}.",
        onset,
        int(steps[-1]),
        f"layers/{names[0]}/grad_norm",
        {"layers": len(chosen), "of": len(table.names), "share": least},
        (
            f"List the parameters of {names[0]} after one backward pass: is grad None or zero, is requires_grad set?",
            "Look for detach() and no_grad() on the way to them, and for parameters the optimizer does not hold.",
            "If it never had a gradient, check the initialisation of the layers behind it: weights of zero pass none "
            "back.",
        ),
        Severity.INFO if on_purpose else Severity.WARNING,
    )
