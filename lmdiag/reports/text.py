"""The report for a terminal: one screen for a run with findings, a few lines for a healthy one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, severity_of
from lmdiag.reports.account import account_line, account_lines, left_out
from lmdiag.reports.curves import curve_rows, marks
from lmdiag.reports.entries import Entry, entries, worst_first
from lmdiag.reports.evidence import evidence
from lmdiag.reports.overview import overview
from lmdiag.reports.phrases import (
    WORDS,
    by_reason,
    checkpoint,
    count,
    looked,
    not_read,
    origin,
    passed_over,
    perplexity,
    source_of,
    suppressions,
    total,
)
from lmdiag.reports.report import Report
from lmdiag.reports.terminal import Style, aligned, severity_look, verdict_look
from lmdiag.run import Run

NARROWEST, WIDEST_CURVE, BESIDE_THE_CURVE = 60, 72, 34
FINDINGS_IN_FULL, ADVICE_SHOWN, NOTES_SHOWN, RUNS_IN_WORDS = 2, 3, 3, 10


def render(report: Report, style: Style | None = None) -> str:
    """Return the report as text for a terminal `style.width` columns wide."""
    style = style or Style()
    style = replace(style, width=max(style.width, NARROWEST))
    return "\n".join(line.rstrip() for line in _lines(report, style))


def _lines(report: Report, style: Style) -> Iterator[str]:
    """Yield the runs that need words, then a table of all runs, then what could not be read."""
    several = len(report.diagnoses) > 1
    worth = _in_words(report, style)
    told = worth if style.verbose else worth[-RUNS_IN_WORDS:]
    for diagnosis in told:
        yield from _run(diagnosis, style)
        if several:
            yield ""
    if len(told) < len(worth):
        yield from style.paragraph(f"{_more(worth[: -len(told)])}: -v describes all.", 0, dim=True)
        yield ""
    if several:
        yield from overview(report, style)
    for unreadable in report.unreadable:
        said = f"{unreadable.source}: {unreadable.error}"
        yield from style.paragraph(said, 0, "✗ not read  ", colour="red", bold=True)
        if unreadable.hint:
            yield from style.paragraph(unreadable.hint, lead="Hint: ")
    for line in suppressions(report.suppressed):
        yield from style.paragraph(line, 0, dim=True)
    if report.passed_over:
        yield from style.paragraph(passed_over(report.passed_over), 0, dim=True)
    if several or report.unreadable:
        yield from style.paragraph(total(report.verdicts, len(report.unreadable)), 0, bold=True)


def _in_words(report: Report, style: Style) -> list[Diagnosis]:
    """Return the runs to describe one by one, the worst last, where the eye is when the command ends."""
    if style.verbose or len(report.diagnoses) == 1:
        return list(report.diagnoses)
    worth = [d for d in worst_first(report.diagnoses) if d.findings or d.verdict == "not-judged"]
    return worth[::-1]


def _more(left_out: list[Diagnosis]) -> str:
    """Count the runs that are not described, by their verdicts: "8 more runs with findings (6 unhealthy, 2 suspect)"."""
    verdicts = Counter(diagnosis.verdict for diagnosis in left_out)
    said = ", ".join(f"{verdicts[verdict]:,} {WORDS[verdict]}" for verdict in WORDS if verdicts[verdict])
    return f"{count(len(left_out), 'more run')} in the table only ({said})"


def _run(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    run = diagnosis.run
    words, colour = verdict_look(diagnosis.shown)
    yield f"{style.paint(words, colour, bold=True)}  {style.paint(source_of(run), bold=True)}"
    yield from style.listed(origin(run), 2, dim=True)
    yield from _curves(diagnosis, style)
    yield from style.listed(_results(diagnosis), 2)
    yield from _findings(diagnosis, style)
    yield from _coverage(diagnosis, style)


def _curves(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    run, width = diagnosis.run, min(style.width - BESIDE_THE_CURVE, WIDEST_CURVE)
    curves = curve_rows(diagnosis, width)
    if not curves:
        return
    where = marks(run, [entry.finding.first_step for entry in entries(diagnosis)], width)
    named = [["finding", "", where, ""]] if where else []
    axis = [run.step_kind, f"{run.first_step:,}", "", f"{run.last_step:,}"]
    rows = aligned([*([c.metric, c.first, c.bars, c.last] for c in curves), *named, axis], "<><<")
    yield ""
    for metric, first, bars, last in rows[: len(curves)]:
        yield f"  {metric} {first} {style.paint(bars, 'cyan')} {last}"
    for name, first, found, last in rows[len(curves) :]:
        begin, end = (style.paint(text, dim=True) for text in (f"{name} {first}", last))
        yield f"  {begin} {style.paint(found, bold=True)} {end}"


def _results(diagnosis: Diagnosis) -> list[str]:
    parts = []
    told = perplexity(diagnosis)
    if told is not None:
        name, last, best = told
        parts += [f"{name} {last}", *([f"{best} at best"] if best else [])]
    if kept := checkpoint(diagnosis):
        parts.append(f"keep {kept}" if diagnosis.keep else "no checkpoint worth keeping")
    return parts


def _findings(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    """Yield the worst findings in full, the others in a sentence, and under each what it explains."""
    run, numbered = diagnosis.run, list(entries(diagnosis))
    after_full = True
    for rank, entry in enumerate(numbered, 1):
        in_full = style.verbose or (entry.finding.alarms and rank <= FINDINGS_IN_FULL)
        if in_full or after_full:
            yield ""
        after_full = in_full
        yield from (
            _finding(run, rank, entry.finding, style) if in_full else _sentence(run, entry.finding, style, 0, str(rank))
        )
        yield from _consequences(run, entry, style)
    if not style.verbose and any(entry.finding.alarms for entry in numbered[FINDINGS_IN_FULL:]):
        yield from style.paragraph("-v shows the evidence and the advice of all findings.", dim=True)


def _finding(run: Run, rank: int, finding: Finding, style: Style) -> Iterator[str]:
    words, colour = severity_look(severity_of(finding))
    where = run.place(finding.first_step, finding.last_step)
    yield f"{rank} {style.paint(words, colour, bold=True)}  {style.paint(finding.rule, bold=True)}  {where}"
    yield from style.paragraph(finding.message, 4)
    yield from style.listed([" ".join(pair) for pair in evidence(finding)], 4, dim=True)
    for advice in finding.advice if style.verbose else finding.advice[:ADVICE_SHOWN]:
        yield from style.paragraph(advice, 4, "→ ", colour="green")


def _consequences(run: Run, entry: Entry, style: Style) -> Iterator[str]:
    """Name what a finding explains, which mostly says the same again in other words; -v shows the words."""
    if style.verbose:
        for consequence in entry.consequences:
            yield from _sentence(run, consequence, style, 4, "↳")
    elif entry.consequences:
        own = entry.finding.rule
        told = (f"{c.rule} of {c.metric}" if c.rule == own else c.rule for c in entry.consequences)
        names = ", ".join(dict.fromkeys(told))
        yield from style.paragraph(f"also follows from it: {names}; -v", 4, "↳ ", dim=True)


def _sentence(run: Run, finding: Finding, style: Style, indent: int, lead: str) -> Iterator[str]:
    words, colour = severity_look(severity_of(finding))
    where = run.place(finding.first_step, finding.last_step)
    yield from style.paragraph(
        f"{finding.rule}, {where}: {finding.message}", indent, f"{lead} {words[0]} ", colour=colour
    )


def _coverage(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    """Say which rules ran, which did not and why, what was not read, and what was assumed."""
    lines = [] if diagnosis.findings and diagnosis.verdict != "not-judged" else [looked(diagnosis)]
    lines += _not_checked(diagnosis, style.verbose)
    lines += filter(None, [account_line(diagnosis.run.account)])
    lines += account_lines(diagnosis.run) if style.verbose else ()
    lines += map(not_read, left_out(diagnosis.run))
    notes = diagnosis.run.notes
    shown = notes if style.verbose else notes[:NOTES_SHOWN]
    lines += shown
    if len(shown) < len(notes):
        lines.append(f"{count(len(notes) - len(shown), 'more note')}: -v shows all.")
    if lines:
        yield ""
    for line in lines:
        yield from style.paragraph(line, dim=True)


def _not_checked(diagnosis: Diagnosis, verbose: bool) -> Iterator[str]:
    reasons = by_reason(diagnosis.not_checked)
    if verbose:
        yield from (f"Not checked: {', '.join(rules)}: {why}." for why, rules in reasons.items())
    elif reasons and diagnosis.findings and diagnosis.verdict != "not-judged":
        able, asked = len(diagnosis.looked), len(diagnosis.asked)
        yield f"{able:,} of {count(asked, 'rule')} could look: -v names the others."
