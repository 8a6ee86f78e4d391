from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure, percent
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import MOST_POINTS
from lmdiag.stats.units import shares
from lmdiag.stats.windows import median, rolling_median

CLIPPED = 0.3  # of the tokens
MOVED = 1.0  # nats per token, between two updates
WINDOW, LASTING = 0.1, 0.25  # of the records


@rule(family="reinforcement", needs=("measured",), severity=Severity.WARNING, min_points=1)
def check(run: Run, _: Curve, *, clipped: float = CLIPPED, moved: float = MOVED) -> Findings:
    """Updates of the policy are too large: most of what they would change is clipped.

    ## What it looks for
    A share of clipped probability ratios, or a divergence of the policy from itself before the update, at which the clipped objective is no longer near the true one.

    ## How it decides
    The rolling median (a tenth of the records, three at least) of the share of clipped tokens reaches `clipped`, or that of the divergence from the policy
    that sampled reaches `moved` nats per token. It is a warning where a quarter of the run is so, else information.

    ## Why it matters
    Proximal methods rest on small steps: 1 to 20% of the tokens are clipped in runs that work, and the divergence of one update is 0.001 to 0.05.
    Beyond, gradients come from the few tokens that are left, and the policy is torn.

    ## False alarms it avoids
    Single records; sequence-level ratios (GSPO, RLOO), of which a sixth is clipped in sound runs.

    ## What to try
    A lower rate, fewer epochs on each batch of responses, larger batches; stop a batch's epochs at a divergence of 0.05.

    ## References
    - Schulman et al. 2017, Proximal policy optimization algorithms, arXiv:1707.06347.
    - Huang et al. 2022, The 37 implementation details of PPO: target divergence of 0.01 to 0.05.
    """
    limits = {"clip_ratio": clipped, "update_kl": moved}
    known = [(name, series) for name in limits if name in run and (series := _read(run, name)) is not None]
    if not known:
        yield NotChecked("the log has neither clip fractions of a known unit nor the divergence of an update")
        return
    if max(len(series) for _, series in known) < 5:
        yield too_few(max(len(series) for _, series in known), "finite clip fractions", 5)
        return
    for name, series in known:
        if len(series) >= 5 and (found := _found(run, name, series, limits[name])):
            yield found
            return


def _read(run: Run, name: str) -> Series | None:
    """Return the finite values of a measure, clip fractions as shares of one; None where their unit is not clear."""
    series = run[name].finite
    if name != "clip_ratio":
        return series
    values = shares(series.values)
    return None if values is None else replace(series, values=values)


def _found(run: Run, name: str, series: Series, limit: float) -> Finding | None:
    series = series.thinned(MOST_POINTS)
    width = min(max(3, int(WINDOW * len(series))) | 1, len(series))
    levels = rolling_median(series.values, width)
    if levels.max() < limit:
        return None
    step, top = (int(series.steps[int(np.argmax(so)) + width // 2]) for so in (levels >= limit, levels))
    usual = float(median(series.values))
    if name == "clip_ratio":
        said = f"{percent(float(levels.max())).capitalize()} of the tokens are clipped"
    else:
        said = f"One update moves the policy by {figure(float(levels.max()), 3)} nats per token"
    return Finding(
        f"{said} around {run.place(top)} ({figure(usual, 2)}, the median of the run): the updates of the policy are too large.",
        step,
        int(series.steps[-1]),
        name,
        {"highest": float(levels.max()), "median": usual},
        (
            advice.lower_lr(run, step),
            "Make fewer epochs over each batch of responses: one to begin with.",
            "Stop the epochs of a batch once the policy has moved by 0.05 nats per token (target_kl).",
        ),
        Severity.WARNING if (levels >= limit).mean() >= LASTING else Severity.INFO,
    )
