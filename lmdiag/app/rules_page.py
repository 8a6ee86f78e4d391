"""Every rule with its page, and its settings to try on the open runs and on the samples."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lmdiag.app import logs, reading
from lmdiag.app.markup import short
from lmdiag.diagnose import Diagnosis, diagnose
from lmdiag.finding import Rule, severity_of
from lmdiag.rules import RULES


def draw(known: dict[str, Diagnosis]) -> None:
    """Draw the page."""
    rules = {rule.name: rule for rule in RULES}
    names = sorted(rules)
    rule = rules[st.selectbox("Rule", names, names.index(_first(known)), key="rule") or names[0]]
    left, right = st.columns([0.45, 0.55], gap="medium")
    with left:
        st.markdown(rule.page.replace("\n## ", "\n#### "))
    with right:
        chosen = _settings(rule)
        _export(rule, chosen)
        st.subheader("What it says with these settings", anchor=False)
        if rule.settings and not chosen:
            st.caption("Change a setting to see which findings come and go, on the open runs and on the samples.")
        st.dataframe(findings_with(rule, chosen, known), hide_index=True)


def _first(known: dict[str, Diagnosis]) -> str:
    """Return the rule to begin with: that of the first finding of the run that is shown."""
    shown = known.get(logs.chosen() or "")
    return shown.findings[0].rule if shown and shown.findings else "loss-spike"


def _settings(rule: Rule) -> dict[str, Any]:
    """Offer every setting of the rule as a field and return those that were changed."""
    st.subheader("Settings", anchor=False)
    if not rule.settings:
        st.caption("This rule has no settings.")
    changed = {}
    for name, default in rule.settings.items():
        value = _field(rule, name, default)
        if value != default:
            changed[name] = value
    return changed


def _field(rule: Rule, name: str, default: Any) -> Any:
    key, label = f"setting-{rule.name}-{name}", name.replace("_", " ")
    if isinstance(default, bool):
        return st.toggle(label, default, key=key)
    if isinstance(default, int):
        return int(st.number_input(label, value=default, step=1, key=key))
    if isinstance(default, float):
        return float(st.number_input(label, value=default, step=abs(default) / 10 or 0.1, format="%.6g", key=key))
    return default


def _export(rule: Rule, changed: dict[str, Any]) -> None:
    """Show the block for pyproject.toml that keeps the changed settings."""
    if changed:
        st.caption("For pyproject.toml:")
        st.code(as_toml(rule, changed), language="toml")


def as_toml(rule: Rule, changed: dict[str, Any]) -> str:
    """Return the settings as a block of pyproject.toml."""
    lines = (f"{name} = {str(value).lower() if isinstance(value, bool) else value}" for name, value in changed.items())
    return "\n".join([f"[tool.lmdiag.rules.{rule.name}]", *lines])


def findings_with(rule: Rule, settings: dict[str, Any], known: dict[str, Diagnosis]) -> list[dict[str, str]]:
    """Return what the rule finds in every open run and every sample, with its default settings and with these."""
    samples = [log for log in map(reading.read_file, logs.samples()) if log.judged.diagnoses]
    runs = {short(d.run.name): d.run for d in known.values()} | {
        f"sample: {log.name}": log.judged.diagnoses[0].run for log in samples
    }
    rows = []
    for name, run in runs.items():
        usual, now = (_said(diagnose(run, [rule], {rule.name: s})) for s in ({}, settings))
        rows.append(
            {"run": name, "as it is": usual, "with these settings": now, "changed": "◆" if usual != now else ""}
        )
    return sorted(rows, key=lambda row: (not row["changed"], row["with these settings"] == "–"))


def _said(diagnosis: Diagnosis) -> str:
    said = [f"{severity_of(f).label} at {diagnosis.run.place(f.first_step)}" for f in diagnosis.findings]
    return ", ".join(said) or ("not checked" if diagnosis.not_checked else "–")
