"""Which finding explains which: one sick run has one cause, and the rest are its consequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lmdiag.finding import Finding

# What a cause can explain, as rule or family names; the order is the order in which causes are tried.
EXPLAINS: dict[str, tuple[str, ...]] = {
    "masked-nan": ("numerics", "divergence", "spikes", "convergence", "generalization", "gradients"),
    "non-finite-loss": ("non-finite-gradient", "divergence", "spikes", "convergence", "generalization", "gradients"),
    "non-finite-gradient": ("gradients", "not-learning", "plateau"),
    "divergence": ("oscillation", "spikes", "gradients", "convergence", "generalization"),
    "oscillation": ("spikes", "gradients", "convergence"),
    "not-learning": ("plateau", "vanishing-gradient"),
    "loss-spike": ("gradient-spike",),
}
EARLIER = 0.02  # share of the run by which an effect may show before its cause: records are not written at every step


def attribute(findings: Iterable[Finding], span: int) -> list[Finding]:
    """Return the findings with `consequence_of` filled in; `span` is the length of the run in steps.

    An effect starts no earlier than its cause and overlaps it. A cause is never less severe than its effect, and a
    consequence explains nothing itself.
    """
    attributed: list[Finding] = list(findings)
    for cause, effects in EXPLAINS.items():
        roots = [f for f in attributed if f.rule == cause and f.consequence_of is None]
        attributed = [
            replace(f, consequence_of=cause)
            if f.consequence_of is None and any(_explains(root, f, effects, span) for root in roots)
            else f
            for f in attributed
        ]
    return attributed


def _explains(cause: Finding, effect: Finding, effects: tuple[str, ...], span: int) -> bool:
    if effect is cause or not ({effect.rule, effect.family} & set(effects)) or effect.rule == cause.rule:
        return False
    in_time = effect.first_step >= cause.first_step - EARLIER * span and effect.first_step <= cause.last_step
    return in_time and (cause.severity or 0) >= (effect.severity or 0)
