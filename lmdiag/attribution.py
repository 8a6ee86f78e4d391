"""Which finding explains which: one sick run has one cause, and the rest are its consequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lmdiag.finding import Finding

SPOILED = ("divergence", "spikes", "convergence", "generalization", "gradients", "data")  # what a broken run shows
BLOWN_UP = (*SPOILED, "extreme-update-ratio", "weight-growth")
UNTAUGHT = ("convergence", "generalization", "data")  # and one that learns nothing
ENDS = ("numerics", "crashed-run")  # how a run ends that blew up before

# What a cause can explain, as rule or family names; the order is the order in which causes are tried. What rose before it was
# not finite any more is the first cause, whatever the NaN would explain.
ENDS_IN = {"lr-too-high": ENDS, "divergence": ENDS}
EXPLAINS: dict[str, tuple[str, ...]] = {
    "wrong-loss-scale": ("convergence", "worse-than-reference", "evaluation-below-training"),
    "memory-growth": ("crashed-run",),
    "data-starvation": ("slowdown",),
    "zero-loss": ("convergence", "gradients", "numerics", "worse-than-reference"),
    "masked-nan": ("numerics", "crashed-run", *SPOILED),
    "missing-loss": ("numerics", "converged-early", "worse-than-reference"),
    "non-finite-loss": ("numerics", "crashed-run", *SPOILED),
    "non-finite-gradient": ("gradients", "at-chance", "not-learning", "plateau", "oscillation"),
    "loss-scale-collapse": ("non-finite-gradient", "gradients", "convergence", "worse-than-reference"),
    "zero-lr": ("convergence", "gradients", "frozen-metric", "extreme-update-ratio", "worse-than-reference"),
    "vanishing-gradient": (
        "divergence",
        "convergence",
        "generalization",
        "worse-than-reference",
        "dead-layer",
        "flat-margin",
        "frozen-metric",
    ),
    "missing-reward": ("flat-reward", "no-group-signal", "frozen-policy", "non-finite-metric"),
    "frozen-policy": ("flat-reward", "not-learning"),
    "non-finite-metric": ("reinforcement", "preference", "convergence", *SPOILED),
    "swapped-pairs": ("generalization", "accuracy-at-half", "divergence"),
    "falling-likelihood": ("falling-chosen-reward", "gradients", "generalization", "divergence", "lr-too-high"),
    "lr-too-high": (*BLOWN_UP, "falling-likelihood", "falling-chosen-reward"),
    "lr-too-low": ("convergence", "extreme-update-ratio", "worse-than-reference"),
    "lr-jump": ("divergence", "resume-jump", "loss-spike", "step-rewind"),
    "resume-jump": ("step-rewind", "level-shift", "loss-spike", "divergence", "slow-drift"),
    "repeated-stretch": ("divergence", "slow-drift", "loss-spike", "level-shift"),
    "early-divergence": (*BLOWN_UP, "wrong-loss-scale", "lr-too-high"),
    "divergence": BLOWN_UP,
    "temporary-divergence": ("oscillation", "slow-drift", "spikes", "gradient-spike", "level-shift"),
    "oscillation": ("growing-oscillation", "spikes", "gradients", "convergence"),
    "growing-oscillation": ("slow-drift", "spikes", "gradient-spike"),
    "rising-instability": ("spikes", "gradient-spike"),
    "replayed-data": ("temporary-divergence", "level-shift", "loss-spike"),
    "epoch-boundary-spikes": ("periodic-spikes", "loss-spike", "spike-score", "gradient-spike"),
    "periodic-spikes": ("loss-spike", "spike-score", "gradient-spike"),
    "embedding-leads-spikes": ("loss-spike", "spike-score", "layer-imbalance"),
    "early-instability": (
        "temporary-divergence",
        "loss-spike",
        "spike-score",
        "gradient-spike",
        "worse-than-reference",
    ),
    "dead-layer": ("layer-imbalance",),
    "repeated-losses": (*UNTAUGHT, "clip-saturation", "frozen-metric"),
    "at-chance": (*UNTAUGHT, "vanishing-gradient", "clip-saturation", "frozen-metric", "wrong-loss-scale"),
    "not-learning": (*UNTAUGHT, "vanishing-gradient", "clip-saturation", "frozen-metric"),
    "plateau": ("convergence", "worse-than-reference"),
    "stalled": ("converged-early",),
    "overfitting": (
        "generalization",
        "converged-early",
        "divergence",
        "worse-than-reference",
        "bits-per-byte-out-of-range",
    ),
    "flat-evaluation": ("growing-gap", "converged-early"),
    "kl-explosion": ("reward-collapse", "entropy-explosion", "entropy-collapse", "length-explosion", "length-collapse"),
    "entropy-explosion": ("reward-collapse", "length-explosion", "length-collapse", "truncated-responses"),
    "entropy-collapse": ("no-group-signal",),
    "reward-collapse": ("flat-reward", "no-group-signal"),
    "reward-hacking": ("length-explosion", "truncated-responses", "no-group-signal"),
    "no-group-signal": ("flat-reward", "not-learning", "truncated-responses"),
    "flat-margin": ("accuracy-at-half", "dead-layer", "extreme-update-ratio"),
    "layer-imbalance": ("gradient-spike", "loss-spike"),
    "loss-spike": ("gradient-spike", "spike-score"),
    "gradient-spike": ("clip-inactive", "loss-spike"),
}
EARLIER = 0.05  # share of the run by which an effect may show before its cause: records are not written at every step

# Judged over the whole run, or seen before it is certain what they lead to: these may begin before their cause.
EARLIER_AT_WILL = {
    "convergence",
    "noisy-evaluation",
    "evaluation-below-training",
    "worse-than-reference",
    "bits-per-byte-out-of-range",
    "extreme-update-ratio",
    "clip-saturation",
    "overfitting",
    "flat-reward",
    "flat-margin",
    "accuracy-at-half",
    "truncated-responses",
}
BEHIND = {"repeated-stretch", "resume-jump", "lr-jump"}  # what these explain begins where they end
LEADS_TO = {  # (effect, cause): judged with what the cause did to the curve, from whenever on
    ("non-finite-gradient", "loss-scale-collapse"),
    ("oscillation", "resume-jump"),
    ("divergence", "resume-jump"),
    ("oscillation", "repeated-stretch"),
    ("oscillation", "lr-jump"),
    ("oscillation", "temporary-divergence"),
}

# (effect, cause): these follow only from an error. Cut responses do where no reward ever differs, and swings where a fifth of the
# gradients is not finite.
ONLY_LESS_SEVERE = {("truncated-responses", "no-group-signal"), ("oscillation", "non-finite-gradient")}


def attribute(findings: Iterable[Finding], span: int) -> list[Finding]:
    """Return the findings with `consequence_of` filled in; `span` is the length of the run in steps.

    An effect starts no earlier than its cause and overlaps it. A cause is never less severe than its effect, and a
    consequence explains nothing itself: what it explained before stands under its own cause.
    """
    attributed: list[Finding] = list(findings)
    for cause, effects in (*ENDS_IN.items(), *EXPLAINS.items()):
        roots = [f for f in attributed if f.rule == cause and f.consequence_of is None]
        attributed = [
            replace(f, consequence_of=cause)
            if f.consequence_of is None and any(_explains(root, f, effects, span) for root in roots)
            else f
            for f in attributed
        ]
    above = {f.rule: f.consequence_of for f in attributed if f.consequence_of is not None}
    for f in attributed:
        if f.consequence_of is None:
            above.pop(f.rule, None)
    return [replace(f, consequence_of=_root(f.consequence_of, above)) if f.consequence_of else f for f in attributed]


def _root(rule: str, above: Mapping[str, str]) -> str:
    """Return the cause at the head of a chain of causes."""
    while rule in above:
        rule = above[rule]
    return rule


def _explains(cause: Finding, effect: Finding, effects: tuple[str, ...], span: int) -> bool:
    if effect is cause or not ({effect.rule, effect.family} & set(effects)):
        return False
    if effect.rule == cause.rule and (effect.metric == cause.metric or cause.metric != "loss"):
        return False
    if cause.rule == "overfitting" and effect.family == "divergence" and effect.rule != "divergence":
        return False
    if (effect.rule, cause.rule) == ("divergence", "overfitting") and effect.metric != cause.metric:
        return False  # a rise of the evaluations, told twice, is one, and that of the training loss another
    if (effect.rule, cause.rule) == ("resume-jump", "lr-jump") and effect.first_step != cause.first_step:
        return False  # a rate that changed elsewhere is not what was loaded wrongly
    if cause.rule in ("non-finite-loss", "masked-nan") and cause.metric != "loss" and effect.metric != cause.metric:
        return False  # what the evaluation alone has says nothing of the training
    if cause.rule == "data-starvation" and effect.first_step > cause.first_step + EARLIER * span:
        return False  # steps that waited before do not wait because of that
    early = 0 if cause.rule in ENDS_IN and {effect.rule, effect.family} & set(ENDS) else EARLIER * span
    begun = effect.first_step >= cause.first_step - early
    begun = begun or bool({effect.rule, effect.family} & EARLIER_AT_WILL) or (effect.rule, cause.rule) in LEADS_TO
    last_step = cause.last_step + (EARLIER * span if cause.rule in BEHIND else 0)
    least = (effect.severity or 0) + ((effect.rule, cause.rule) in ONLY_LESS_SEVERE)
    return begun and effect.first_step <= last_step and (cause.severity or 0) >= least
