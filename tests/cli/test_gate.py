"""The gate: which rules look, which settings fit, and which exit code the findings mean."""

from dataclasses import replace

import pytest

from lmdiag.cli.gate import checked_rule_settings, chosen_rules, exit_code
from lmdiag.config import Settings
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import BadSetting
from lmdiag.finding import Finding, Severity, rule
from lmdiag.reports.report import Report, Unreadable
from lmdiag.rules import RULES
from lmdiag.run import Run


@rule(family="spikes", needs=("loss",))
def check(run, *, window: int = 50, threshold: float = 6.0, strict: bool = False):
    """A rule with settings of every type."""
    yield Finding("", 0, 0)


TYPED = replace(check, name="typed")


def names(settings):
    return [rule.name for rule in chosen_rules(settings)]


def test_all_rules_look_unless_told_otherwise():
    assert names(Settings()) == [rule.name for rule in RULES]
    assert names(Settings(select=("all",))) == names(Settings())


def test_select_takes_rules_and_families_and_keeps_the_order_of_attribution():
    expected = [rule.name for rule in RULES if rule.family == "numerics" or rule.name == "step-rewind"]
    assert names(Settings(select=("numerics", "step-rewind"))) == expected


def test_ignore_wins_over_select():
    assert names(Settings(select=("loss-spike", "plateau"), ignore=("spikes",))) == ["plateau"]


def test_a_family_without_rules_so_far_is_no_mistake():
    assert chosen_rules(Settings(ignore=("throughput",)), (TYPED,)) == (TYPED,)


@pytest.mark.parametrize("key", ["select", "ignore"])
def test_an_unknown_name_is_refused_with_the_nearest(key):
    with pytest.raises(BadSetting, match=f'{key}: there is no rule or family .*\n.*did you mean "loss-spike"'):
        chosen_rules(replace(Settings(), **{key: ("loss-spkie",)}))


@pytest.mark.parametrize("values", [{"window": 3}, {"threshold": 3}, {"threshold": 2.5}, {"strict": True}])
def test_settings_of_the_type_of_their_default_fit(values):
    assert checked_rule_settings(Settings(rules={"typed": values}), (TYPED,)) == {"typed": values}


@pytest.mark.parametrize("values", [{"window": 3.5}, {"window": True}, {"threshold": "high"}, {"strict": 1}])
def test_settings_of_another_type_are_refused(values):
    with pytest.raises(BadSetting, match=r"rules\.typed\.\w+ cannot be .*\n.*like its default"):
        checked_rule_settings(Settings(rules={"typed": values}), (TYPED,))


def test_unknown_rules_and_settings_are_refused_with_the_file_they_stand_in():
    with pytest.raises(BadSetting, match=r'a\.toml: rules\.tiped: .*\n.*did you mean "typed"'):
        checked_rule_settings(Settings(rules={"tiped": {}}, source="a.toml"), (TYPED,))
    with pytest.raises(BadSetting, match=r'rules\.typed\.windows: .*\n.*did you mean "window"'):
        checked_rule_settings(Settings(rules={"typed": {"windows": 3}}), (TYPED,))


def diagnosis(*severities, judged=True):
    return Diagnosis(Run("a", {}), tuple(Finding("", 0, 0, severity=s) for s in severities), (), judged, None)


BROKEN = (Unreadable("x", "broken"),)


@pytest.mark.parametrize(
    ("diagnoses", "unreadable", "fail_on", "expected"),
    [
        ([diagnosis()], (), "error", 0),
        ([diagnosis(Severity.WARNING)], (), "error", 0),
        ([diagnosis(Severity.ERROR)], (), "error", 1),
        ([diagnosis(Severity.WARNING)], (), "warning", 1),
        ([diagnosis(Severity.INFO)], (), "info", 1),
        ([diagnosis(Severity.ERROR)], (), "never", 0),
        ([], (), "error", 3),
        ([diagnosis(judged=False)], (), "error", 3),
        ([diagnosis(judged=False), diagnosis()], (), "error", 0),
        ([diagnosis()], BROKEN, "error", 2),
        ([], BROKEN, "error", 2),
        ([diagnosis()], BROKEN, "never", 2),
        ([diagnosis(Severity.ERROR)], BROKEN, "error", 1),
        ([diagnosis(Severity.ERROR, judged=False)], (), "error", 1),
    ],
)
def test_exit_codes(diagnoses, unreadable, fail_on, expected):
    assert exit_code(Report(tuple(diagnoses), unreadable), fail_on) == expected
