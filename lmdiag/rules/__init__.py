"""Every rule; which finding explains which, and the order in which causes are tried, is said in `attribution.py`.

To add a rule, write its file in the folder of its family, add its name to `ORDER`, make one sample log, and run `make docs`.
A rule is imported when it is to look: what it needs stands in `declared.py`, which `make docs` writes.
"""

from importlib import import_module
from importlib.util import find_spec

from lmdiag.finding import FAMILIES, Rule
from lmdiag.rules.declared import DECLARED

ORDER = """
    step-rewind resume-jump crashed-run truncated-run step-gap clock-gap frozen-metric perplexity-mismatch
    accuracy-mismatch wrong-loss-scale few-evaluations masked-nan missing-loss zero-loss non-finite-loss
    non-finite-gradient non-finite-metric non-finite-part loss-scale-collapse zero-lr lr-too-high lr-too-low lr-jump
    early-divergence divergence oscillation temporary-divergence growing-oscillation slow-drift
    rising-instability replayed-data repeated-stretch level-shift epoch-boundary-spikes periodic-spikes
    early-instability loss-spike spike-score repeated-losses at-chance constant-accuracy never-right not-learning worse-than-reference plateau
    stalled overfitting flat-evaluation growing-gap evaluation-below-training noisy-evaluation
    metric-disagreement best-checkpoint-not-saved epoch-steps converged-early still-improving too-low-loss
    bits-per-byte-out-of-range masked-share untrained-start gradient-spike vanishing-gradient dead-layer
    layer-imbalance embedding-leads-spikes clip-saturation clip-inactive inefficient-batch extreme-update-ratio
    weight-growth no-decay slowdown periodic-stall data-starvation memory-growth missing-reward frozen-policy
    reward-hacking reward-collapse flat-reward kl-explosion too-large-updates sampler-mismatch entropy-collapse
    entropy-explosion length-explosion length-collapse loss-explosion truncated-responses no-group-signal
    useless-value-function missing-answers swapped-pairs falling-likelihood falling-chosen-reward flat-margin accuracy-at-half
""".split()


def written(name: str) -> Rule:
    """Return a rule as its file has it."""
    places = (f"lmdiag.rules.{family}.{name.replace('-', '_')}" for family in FAMILIES)
    rule: Rule = import_module(next(filter(find_spec, places))).check
    return rule


def _known(name: str) -> Rule:
    if name not in DECLARED:  # a new one
        return written(name)
    family, severity, needs, min_points = DECLARED[name]
    return Rule(name, family, severity, tuple(needs.split()), min_points)


RULES = tuple(map(_known, ORDER))
