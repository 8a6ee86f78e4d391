"""One sick run has one cause: what it explains stands under it, what it cannot explain stands beside it."""

import pytest

from lmdiag.attribution import EXPLAINS, attribute
from lmdiag.finding import FAMILIES, Finding, Severity
from lmdiag.rules import RULES

FAMILY = {rule.name: rule.family for rule in RULES}


def finding(rule: str, first: int, last: int, severity=Severity.WARNING, metric: str = "loss") -> Finding:
    return Finding(rule, first, last, metric, severity=severity, rule=rule, family=FAMILY[rule])


def causes(*findings: Finding) -> dict[str, str | None]:
    return {f"{f.rule}@{f.first_step}": f.consequence_of for f in attribute(findings, 1000)}


def test_only_rules_and_families_that_exist_are_named():
    assert set(EXPLAINS) <= set(FAMILY)
    assert {effect for effects in EXPLAINS.values() for effect in effects} <= set(FAMILY) | set(FAMILIES)


@pytest.mark.parametrize(
    ("cause", "effect"),
    [
        (finding("divergence", 500, 1000, Severity.ERROR), finding("gradient-spike", 480, 900)),
        (finding("divergence", 500, 1000, Severity.ERROR), finding("not-learning", 1, 1000)),
        (finding("masked-nan", 300, 1000, Severity.ERROR), finding("non-finite-gradient", 299, 1000, Severity.ERROR)),
        (finding("divergence", 500, 1000, Severity.ERROR), finding("worse-than-reference", 1, 1000)),
        (finding("loss-scale-collapse", 700, 1000, Severity.ERROR), finding("non-finite-gradient", 20, 1000)),
        (finding("divergence", 500, 1000, Severity.ERROR), finding("non-finite-loss", 900, 1000, Severity.ERROR)),
        (finding("lr-too-high", 100, 1000, Severity.ERROR), finding("non-finite-loss", 900, 1000, Severity.ERROR)),
        (finding("non-finite-loss", 900, 950, Severity.ERROR), finding("crashed-run", 950, 950, Severity.ERROR)),
        (finding("not-learning", 1, 1000), finding("overfitting", 100, 900)),
        (finding("gradient-spike", 180, 180), finding("loss-spike", 180, 180, Severity.INFO)),
        (finding("lr-too-high", 2, 100, Severity.ERROR), finding("falling-likelihood", 2, 100)),
        (finding("missing-loss", 181, 300, Severity.ERROR), finding("non-finite-gradient", 180, 180)),
        (finding("zero-loss", 1, 13, Severity.ERROR), finding("non-finite-gradient", 1, 13, Severity.ERROR)),
        (finding("non-finite-gradient", 1, 900, Severity.ERROR), finding("oscillation", 2, 1000)),
        (finding("at-chance", 1, 1000), finding("frozen-metric", 400, 600)),
        (finding("lr-jump", 500, 500), finding("resume-jump", 500, 620)),
        (finding("early-divergence", 1, 1000, Severity.ERROR), finding("lr-too-high", 90, 1000, Severity.ERROR)),
        (finding("early-divergence", 40, 1000, Severity.ERROR), finding("wrong-loss-scale", 40, 1000, Severity.INFO)),
        (
            finding("overfitting", 400, 1000, Severity.ERROR, "val/loss"),
            finding("divergence", 500, 1000, metric="val/loss"),
        ),
    ],
)
def test_an_effect_stands_under_its_cause(cause, effect):
    found = attribute([cause, effect], 1000)
    assert [f.consequence_of for f in found] == [None, cause.rule]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (finding("divergence", 500, 1000), finding("gradient-spike", 100, 100)),  # long before
        (finding("divergence", 100, 200), finding("gradient-spike", 700, 700)),  # long after
        (finding("lr-jump", 500, 500), finding("resume-jump", 520, 620)),  # not where the rate jumps
        (finding("loss-spike", 500, 500, Severity.INFO), finding("gradient-spike", 500, 500)),  # a lesser cause
        (finding("overfitting", 100, 900), finding("step-rewind", 300, 400)),  # unrelated
        (finding("overfitting", 100, 900, metric="val/loss"), finding("divergence", 300, 900)),  # of the training loss
        (finding("non-finite-gradient", 100, 900), finding("oscillation", 200, 900)),  # skipped updates, a few
        (finding("non-finite-loss", 100, 900, metric="val/loss"), finding("loss-spike", 300, 300)),  # of one set alone
    ],
)
def test_what_a_cause_cannot_explain_stands_beside_it(first, second):
    assert attribute([first], 1000)[0].consequence_of is None
    assert {f.rule: f.consequence_of for f in attribute([first, second], 1000)}[second.rule] is None


def test_a_nan_of_the_evaluation_follows_from_the_nan_of_training():
    training = finding("non-finite-loss", 121, 1000, Severity.ERROR)
    evaluation = finding("non-finite-loss", 150, 1000, Severity.ERROR, metric="val/loss")
    assert causes(training, evaluation) == {"non-finite-loss@121": None, "non-finite-loss@150": "non-finite-loss"}
    assert causes(evaluation) == {"non-finite-loss@150": None}


def test_cut_responses_follow_only_where_no_reward_ever_differs():
    cut = finding("truncated-responses", 1, 60, metric="truncated_share")
    for severity, cause in ((Severity.ERROR, "no-group-signal"), (Severity.WARNING, None)):
        equal = finding("no-group-signal", 1, 60, severity, metric="zero_std_share")
        assert [f.consequence_of for f in attribute([equal, cut], 60) if f.rule == cut.rule] == [cause]


def test_what_a_cause_explained_stands_under_its_own_cause():
    scale = finding("wrong-loss-scale", 40, 1000, Severity.INFO)
    early = finding("early-divergence", 40, 1000, Severity.ERROR)
    found = attribute([scale, early, finding("still-improving", 990, 1000, Severity.INFO)], 1000)
    assert [f.consequence_of for f in found] == ["early-divergence", None, "early-divergence"]
