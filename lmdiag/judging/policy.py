"""The policy of the gate: which rules run, with which settings, and which exit code their findings give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lmdiag.config import Settings, checked_fail_on
from lmdiag.diagnose import Diagnosis, diagnose
from lmdiag.errors import BadSetting, nearest
from lmdiag.finding import FAMILIES, Rule, Severity, fails, severity_of
from lmdiag.judging.exit_codes import FAILED, NOTHING_JUDGED, PASSED, TROUBLE
from lmdiag.reports.report import Report
from lmdiag.rules import RULES
from lmdiag.run import Run

SEVERITY = "severity"  # may be set for every rule, beside the settings of its own


def diagnosed(run: Run, settings: Settings) -> Diagnosis:
    """Diagnose a run with the rules, settings and severities that were asked for."""
    own = {name: {k: v for k, v in values.items() if k != SEVERITY} for name, values in settings.rules.items()}
    diagnosis = diagnose(run, chosen_rules(settings), own)
    wanted = {name: values[SEVERITY] for name, values in settings.rules.items() if SEVERITY in values}
    if not wanted:
        return diagnosis
    findings = (
        replace(f, severity=Severity[wanted[f.rule].upper()]) if f.rule in wanted else f for f in diagnosis.findings
    )
    ranked = sorted(findings, key=lambda f: (f.consequence_of is not None, -severity_of(f), f.first_step))
    return replace(diagnosis, findings=tuple(ranked))


def chosen_rules(settings: Settings, rules: Iterable[Rule] = RULES) -> tuple[Rule, ...]:
    """Return the rules that `select` names, or all, and those of `extend_select`, without those that `ignore` names.

    All three take rules and families.
    """
    rules = tuple(rules)
    selected = _named(settings.select, rules, "select") if settings.select else {rule.name for rule in rules}
    selected |= _named(settings.extend_select, rules, "extend-select")
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


def check_settings(settings: Settings, rules: Iterable[Rule] = RULES) -> None:
    """Raise BadSetting unless every rule and reader that the settings name exists, and every setting of a rule fits it."""
    rules = tuple(rules)
    where = f"{settings.source}: " if settings.source else ""
    checked_fail_on(settings.fail_on, f"{where}fail-on")
    _named((s.rule for s in settings.suppress), rules, f"{where}suppress")
    _check_rules(settings.rules, rules, f"{where}rules")
    for pattern, changes in settings.per_path:
        _check_rules(changes.get("rules", {}), rules, f"{where}per-path {pattern}: rules")
        chosen_rules(settings.for_path(pattern), rules)
        _check_reading(changes, f"{where}per-path {pattern}")
    chosen_rules(settings, rules)


def _check_reading(changes: Mapping[str, Any], where: str) -> None:
    from lmdiag.readers import reader_named  # few projects say how to read a log
    from lmdiag.readers.options import ReadOptions
    from lmdiag.readers.text.any_text import pattern_format

    try:
        ReadOptions(mapping=changes.get("map", {}))
        if "reader" in changes:
            reader_named(changes["reader"])
        if "pattern" in changes:
            pattern_format(changes["pattern"])
    except BadSetting as error:
        raise BadSetting(f"{where}: {error.message}", error.hint) from error


def _check_rules(tables: Mapping[str, Mapping[str, Any]], rules: tuple[Rule, ...], where: str) -> None:
    known = {rule.name: rule for rule in rules}
    for name, values in tables.items():
        if name not in known:
            raise BadSetting(f"{where}.{name}: there is no such rule", nearest(name, list(known)))
        defaults = known[name].settings | {SEVERITY: known[name].severity.label}
        for key, value in values.items():
            _check_value(f"{where}.{name}.{key}", key, value, defaults)


def _check_value(where: str, key: str, value: Any, defaults: Mapping[str, Any]) -> None:
    if key not in defaults:
        raise BadSetting(f"{where}: there is no such setting", nearest(key, list(defaults)))
    severities = [severity.label for severity in Severity]
    if key == SEVERITY and value not in severities:
        raise BadSetting(
            f"{where} cannot be {value!r}", f"choose one of {', '.join(severities)}; ignore turns rules off"
        )
    default = defaults[key]
    wanted = (int, float) if type(default) is float else type(default)
    if default is not None and (not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool)):
        raise BadSetting(f"{where} cannot be {value!r}", f"give a value like its default, {default!r}")


def exit_code(report: Report) -> int:
    """Return what the report means for a script: a finding that counts, else trouble, else nothing judged, else passed.

    A finding comes first because it is certain; an unreadable source beside it is reported all the same.
    """
    if any(fails(severity_of(finding), report.fail_on) for _, finding in report.findings):
        return FAILED
    if report.unreadable:
        return TROUBLE
    judged = any(diagnosis.judged for diagnosis in (*report.diagnoses, *report.others))
    return PASSED if judged or report.suppressed else NOTHING_JUDGED
