"""The gate: which rules look, which settings fit, and which exit code the findings mean."""

import numpy as np
import pytest
from msgspec.structs import replace

from lmdiag.config import Settings
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import BadSetting
from lmdiag.finding import Finding, Severity, rule
from lmdiag.judging.policy import check_settings, chosen_rules, diagnosed, exit_code
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.report import Report
from lmdiag.rules import RULES
from lmdiag.run import Run, Series


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


def test_extend_select_adds_to_what_is_selected():
    assert names(Settings(select=("plateau",), extend_select=("numerics",))) == names(
        Settings(select=("plateau", "numerics"))
    )
    assert names(Settings(extend_select=("numerics",))) == names(Settings())


@pytest.mark.parametrize(
    "values", [{"window": 3}, {"threshold": 3}, {"threshold": 2.5}, {"strict": True}, {"severity": "error"}]
)
def test_settings_of_the_type_of_their_default_fit(values):
    check_settings(Settings(rules={"typed": values}), (TYPED,))


@pytest.mark.parametrize("values", [{"window": 3.5}, {"window": True}, {"threshold": "high"}, {"strict": 1}])
def test_settings_of_another_type_are_refused(values):
    with pytest.raises(BadSetting, match=r"rules\.typed\.\w+ cannot be .*\n.*like its default"):
        check_settings(Settings(rules={"typed": values}), (TYPED,))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"tiped": {}}, 'a.toml: rules.tiped: there is no such rule\nHint: did you mean "typed"?'),
        (
            {"typed": {"windows": 3}},
            'a.toml: rules.typed.windows: there is no such setting\nHint: did you mean "window"?',
        ),
        ({"typed": {"severity": "bad"}}, "choose one of info, warning, error"),
    ],
)
def test_unknown_names_are_refused_with_the_file_they_stand_in(rules, said):
    for settings in (Settings(rules=rules, source="a.toml"), Settings(per_path=(("*", {"rules": rules}),))):
        with pytest.raises(BadSetting) as caught:
            check_settings(settings, (TYPED,))
        assert said.removeprefix("a.toml: rules") in str(caught.value)


def test_a_severity_that_is_set_holds_for_every_finding_of_the_rule():
    losses = np.concatenate([np.linspace(9, 3, 300), [7.0], np.linspace(3, 2.9, 300)])
    run = Run("a", {"loss": Series(np.arange(601), losses)})
    assert diagnosed(run, Settings()).verdict == "healthy"
    raised = diagnosed(run, Settings(rules={"loss-spike": {"severity": "error"}}))
    assert raised.verdict == "unhealthy"
    assert [f.severity for f in raised.findings if f.rule == "loss-spike"] == [Severity.ERROR]


def diagnosis(*severities, judged=True):
    return Diagnosis(
        Run("a", {}), tuple(Finding("", 0, 0, severity=s) for s in severities), (), "" if judged else "too short", None
    )


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
    assert exit_code(Report(tuple(diagnoses), unreadable, fail_on=fail_on)) == expected


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ({"pattern": "(?P<loss>"}, "per-path \\*\\.out: the pattern .* is not a valid regular expression"),
        ({"pattern": "[0-9]+"}, "names no columns"),
        ({"map": {"los": "cost"}}, 'no metric "los"[\\s\\S]*did you mean "loss"'),
        ({"reader": "jsnl"}, 'no reader "jsnl"[\\s\\S]*did you mean "jsonl"'),
    ],
)
def test_a_way_to_read_that_cannot_work_is_refused_with_its_place(reading, said):
    with pytest.raises(BadSetting, match=said):
        check_settings(Settings(per_path=(("*.out", reading),), source="a.toml"))
