"""What the gate lets pass: which rules look, with which settings, and which exit code the findings mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lmdiag.config import Settings
from lmdiag.errors import BadSetting, nearest
from lmdiag.finding import FAMILIES, Rule, Severity
from lmdiag.reports.report import Report, severity_of
from lmdiag.rules import RULES

PASSED, FAILED, TROUBLE, NOTHING_JUDGED = 0, 1, 2, 3


def chosen_rules(settings: Settings, rules: Iterable[Rule] = RULES) -> tuple[Rule, ...]:
    """Return the rules that `select` names, or all, without those that `ignore` names; both take rules and families."""
    rules = tuple(rules)
    selected = _named(settings.select, rules, "select") if settings.select else {rule.name for rule in rules}
    ignored = _named(settings.ignore, rules, "ignore")
    return tuple(rule for rule in rules if rule.name in selected - ignored)


def _named(names: Iterable[str], rules: tuple[Rule, ...], setting: str) -> set[str]:
    known = {rule.name for rule in rules}
    found: set[str] = set()
    for name in names:
        members = {rule.name for rule in rules if name in (rule.name, rule.family, "all")}
        if not members and name not in FAMILIES:
            raise BadSetting(f"{setting}: there is no rule or family {name!r}", nearest(name, [*known, *FAMILIES]))
        found |= members
    return found


def checked_rule_settings(settings: Settings, rules: Iterable[Rule] = RULES) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings of single rules once every rule, every setting and every value's type is known to fit."""
    known = {rule.name: rule for rule in rules}
    where = f"{settings.source}: " if settings.source else ""
    for name, values in settings.rules.items():
        if name not in known:
            raise BadSetting(f"{where}rules.{name}: there is no such rule", nearest(name, list(known)))
        for key, value in values.items():
            _check(f"{where}rules.{name}.{key}", key, value, known[name].settings)
    return settings.rules


def _check(where: str, key: str, value: Any, defaults: Mapping[str, Any]) -> None:
    if key not in defaults:
        hint = nearest(key, list(defaults)) if defaults else "this rule has no settings."
        raise BadSetting(f"{where}: there is no such setting", hint)
    default = defaults[key]
    wanted = (int, float) if type(default) is float else type(default)
    if default is not None and (not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool)):
        raise BadSetting(f"{where} cannot be {value!r}", f"give a value like its default, {default!r}.")


def exit_code(report: Report, fail_on: str) -> int:
    """Return what the report means for a script: a finding that counts, else trouble, else nothing judged, else passed.

    A finding comes first because it is certain; an unreadable source beside it is reported all the same.
    """
    if any(fails(severity_of(finding), fail_on) for _, finding in report.findings):
        return FAILED
    if report.unreadable:
        return TROUBLE
    judged = any(diagnosis.verdict != "not-judged" for diagnosis in report.diagnoses)
    return PASSED if judged else NOTHING_JUDGED


def fails(severity: Severity, fail_on: str) -> bool:
    """Tell whether a finding of this severity lets the gate fail.

    >>> fails(Severity.WARNING, "error"), fails(Severity.WARNING, "info"), fails(Severity.ERROR, "never")
    (False, True, False)
    """
    return fail_on != "never" and severity >= Severity[fail_on.upper()]
