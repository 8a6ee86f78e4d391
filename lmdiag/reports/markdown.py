"""The report as Markdown, for job summaries, pull requests and notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, severity_of
from lmdiag.looks import LOOKS
from lmdiag.reports.account import account_line, left_out
from lmdiag.reports.entries import Entry, count_alarms, entries, main_finding, worst_first
from lmdiag.reports.evidence import evidence
from lmdiag.reports.phrases import (
    by_reason,
    checkpoint,
    looked,
    not_read,
    perplexity,
    source_of,
    suppressions,
    total,
    visible,
)
from lmdiag.reports.report import Report
from lmdiag.reports.summary import last_header, last_value
from lmdiag.reports.terminal import severity_look, verdict_look
from lmdiag.run import Run

COLUMNS = ("run", "verdict", "main finding", "errors", "warnings", "last step", "{last}", "checkpoint to keep")


def render(report: Report) -> str:
    """Return a table of all runs, worst first, and a section for every run with findings."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"## {verdict_look(report.verdict)[0]}"
    yield ""
    yield total(report.verdicts, len(report.unreadable))
    if report.diagnoses:
        yield ""
        yield from _table(report)
    for line in suppressions(report.suppressed):
        yield ""
        yield escape(line)
    for diagnosis in worst_first(report.diagnoses):
        yield from _section(diagnosis)
    for unreadable in report.unreadable:
        yield ""
        said = "; ".join(filter(None, [unreadable.error, unreadable.hint]))
        yield f"**Not read:** {escape(unreadable.source)}: {escape(said)}"


def _table(report: Report) -> Iterator[str]:
    titles = " | ".join(COLUMNS).format(last=last_header(d.run for d in report.diagnoses))
    yield f"| {titles} |"
    yield "| --- | --- | --- |" + " ---: |" * (len(COLUMNS) - 3)
    for diagnosis in worst_first(report.diagnoses):
        yield f"| {' | '.join(_cells(diagnosis))} |"


def _cells(diagnosis: Diagnosis) -> list[str]:
    run = diagnosis.run
    errors, warnings = count_alarms(diagnosis)
    return [
        escape(source_of(run)),
        verdict_look(diagnosis.shown)[0],
        main_finding(diagnosis),
        str(errors),
        str(warnings),
        f"{run.last_step:,}",
        escape(last_value(run)),
        "–" if diagnosis.best is None else escape(checkpoint(diagnosis)),
    ]


def _section(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the findings of a run, and folded below them what was not checked, not read and assumed."""
    if not diagnosis.findings and diagnosis.verdict != "not-judged":
        return
    yield ""
    yield f"### {LOOKS[diagnosis.shown].icon} {escape(source_of(diagnosis.run))}"
    told = perplexity(diagnosis)
    if told is not None:
        yield ""
        yield escape(f"{told[0].capitalize()}: {told[1]}{f', {told[2]} at best' if told[2] else ''}.")
    if diagnosis.verdict == "not-judged":
        yield ""
        yield escape(looked(diagnosis))
    for entry in entries(diagnosis):
        yield from _finding(diagnosis.run, entry)
    coverage = list(_coverage(diagnosis))
    if coverage:
        yield ""
        yield "<details><summary>What was not checked, not read, or assumed</summary>"
        yield ""
        yield from coverage
        yield ""
        yield "</details>"


def _finding(run: Run, entry: Entry) -> Iterator[str]:
    finding = entry.finding
    cause = f", a consequence of {finding.consequence_of}" if finding.consequence_of else ""
    yield ""
    yield f"**{_named(finding)}** ({run.place(finding.first_step, finding.last_step)}{cause})  "
    yield escape(finding.message)
    if finding.evidence:
        yield ""
        yield f"Evidence: {escape('; '.join(map(' '.join, evidence(finding))))}"
    if finding.advice:
        yield ""
        yield from (f"{rank}. {escape(advice)}" for rank, advice in enumerate(finding.advice, 1))
    if entry.consequences:
        yield ""
        yield "Explained by it:"
        yield ""
    for effect in entry.consequences:
        yield f"- {_named(effect)} ({run.place(effect.first_step, effect.last_step)}): {escape(effect.message)}"


def _named(finding: Finding) -> str:
    return f"{severity_look(severity_of(finding))[0]}: {finding.rule}"


def _coverage(diagnosis: Diagnosis) -> Iterator[str]:
    for why, rules in by_reason(diagnosis.not_checked).items():
        yield f"- Not checked: {', '.join(rules)}: {escape(why)}."
    said = account_line(diagnosis.run.account)
    if said:
        yield f"- {escape(said)}"
    for skipped in left_out(diagnosis.run):
        yield f"- {escape(not_read(skipped))}"
    yield from (f"- {escape(note)}" for note in diagnosis.run.notes)


def escape(text: str) -> str:
    """Return text from a log so that Markdown and HTML show it as it is.

    >>> escape("a|b <img> *c* file_name")
    'a\\\\|b &lt;img&gt; \\\\*c\\\\* file_name'
    """
    html = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*|\[\]#~]|\b__)", r"\\\1", html)
