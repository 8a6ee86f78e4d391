"""The report for a terminal: one screen for a sick run, a few calm lines for a healthy one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding
from lmdiag.reports.curves import curve_rows, marks
from lmdiag.reports.look import Style, severity_look, verdict_look
from lmdiag.reports.overview import overview
from lmdiag.reports.report import Report, Summary, severity_of, summarize, worst_first
from lmdiag.reports.wording import by_reason, count, number, source_of, steps, total, visible
from lmdiag.run import Run

NARROWEST, WIDEST_CURVE, BESIDE_THE_CURVE = 60, 72, 34
ADVICE_SHOWN, NOTES_SHOWN, REASONS_SHOWN, RUNS_IN_WORDS = 3, 3, 3, 10


def render(report: Report, style: Style = Style()) -> str:  # noqa: B008
    """Return the report as text for a terminal `style.width` columns wide."""
    style = replace(style, width=max(style.width, NARROWEST))
    console = Console(
        file=StringIO(),
        width=style.width,
        force_terminal=style.color,
        no_color=not style.color,
        color_system="standard" if style.color else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for block in _blocks(report, style):
        console.print(block, soft_wrap=False)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _blocks(report: Report, style: Style) -> Iterator[RenderableType]:
    """Yield the runs that need words, then a table of all runs, then what could not be read."""
    several = len(report.diagnoses) > 1
    for diagnosis in _in_words(report, style):
        yield from _run(diagnosis, style, len(report.rules))
        if several:
            yield ""
    if several:
        yield from overview(report, style.verbose)
    for unreadable in report.unreadable:
        yield _labelled(("✗ not read", "red"), f"{visible(unreadable.source)}: {visible(unreadable.error)}")
        if unreadable.hint:
            yield _indented(f"Hint: {visible(unreadable.hint)}")
    if several or report.unreadable:
        yield Text(total(report.verdicts, len(report.unreadable)), style="bold")


def _in_words(report: Report, style: Style) -> list[Diagnosis]:
    """Return the runs to describe one by one, the worst last, where the eye is when the command ends."""
    if style.verbose or len(report.diagnoses) == 1:
        return list(report.diagnoses)
    worth = [d for d in worst_first(report.diagnoses) if d.findings or d.verdict == "not-judged"]
    return worth[:RUNS_IN_WORDS][::-1]


def _run(diagnosis: Diagnosis, style: Style, rules: int) -> Iterator[RenderableType]:
    run, summary = diagnosis.run, summarize(diagnosis.run)
    yield _labelled(verdict_look(diagnosis.verdict), source_of(run))
    yield _indented(_origin(run, summary), style="dim")
    yield from _curves(diagnosis, style)
    yield from _results(diagnosis, summary)
    yield from _findings(diagnosis, style)
    yield from _coverage(diagnosis, style, rules)


def _labelled(look: tuple[str, str], rest: str) -> Text:
    words, colour = look
    return Text.assemble((words, f"bold {colour}"), "  ", (rest, "bold"))


def _indented(text: str | Text, indent: int = 2, style: str = "") -> Padding:
    return Padding(Text(text, style=style) if isinstance(text, str) else text, (0, 0, 0, indent))


def _origin(run: Run, summary: Summary) -> str:
    """Say how the log was understood: format, steps, points, restarts, and whether the run came to its end."""
    parts = [run.format or "format unknown"]
    parts.append(f"{run.step_kind}s {run.first_step:,}–{run.last_step:,}" if run.series else "nothing measured")
    if summary.points:
        parts.append(count(summary.points, f"value of {summary.metric}", f"values of {summary.metric}"))
    if len(run.segments) > 1:
        parts.append(count(len(run.segments) - 1, "restart"))
    if run.complete is not None:
        parts.append("completed" if run.complete else "not completed")
    return visible(" · ".join(parts))


def _curves(diagnosis: Diagnosis, style: Style) -> Iterator[RenderableType]:
    rows = curve_rows(diagnosis, width := min(style.width - BESIDE_THE_CURVE, WIDEST_CURVE))
    if not rows:
        return
    run = diagnosis.run
    grid = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "left", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    for row in rows:
        grid.add_row(visible(row.metric), row.first, Text(row.bars, style="cyan"), row.last)
    where = marks(run, [f.first_step for f in _numbered(diagnosis)], width)
    grid.add_row(run.step_kind, f"{run.first_step:,}", Text(where, style="bold"), f"{run.last_step:,}", style="dim")
    yield ""
    yield Padding(grid, (0, 0, 0, 2))


def _numbered(diagnosis: Diagnosis) -> list[Finding]:
    """Return the findings that get a number: those that are nobody's consequence."""
    return [f for f in diagnosis.findings if not _explained(f, diagnosis)]


def _explained(finding: Finding, diagnosis: Diagnosis) -> bool:
    return finding.consequence_of in {f.rule for f in diagnosis.findings if not f.consequence_of}


def _results(diagnosis: Diagnosis, summary: Summary) -> Iterator[RenderableType]:
    parts = []
    if summary.perplexity_last is not None:
        parts.append(f"perplexity {number(summary.perplexity_last)} at the end")
        parts.append(f"{number(summary.perplexity_min)} at best")
    best = diagnosis.best
    if best is not None:
        parts.append(f"keep step {best.step:,} ({best.metric} {number(best.value)})")
    if parts:
        yield Padding(Text(visible(" · ".join(parts))), (0, 0, 0, 2))


def _findings(diagnosis: Diagnosis, style: Style) -> Iterator[RenderableType]:
    for rank, finding in enumerate(_numbered(diagnosis), 1):
        yield ""
        yield from _finding(rank, finding, style)
        for consequence in diagnosis.findings:
            if consequence.consequence_of == finding.rule:
                yield _consequence(consequence)


def _finding(rank: int, finding: Finding, style: Style) -> Iterator[RenderableType]:
    words, colour = severity_look(severity_of(finding))
    where = steps(finding.first_step, finding.last_step)
    yield Text.assemble(f"{rank} ", (words, f"bold {colour}"), "  ", (finding.rule, "bold"), f"  {where}")
    yield _indented(visible(finding.message), 4)
    if finding.evidence:
        numbers = (f"{name.replace('_', ' ')} {number(value)}" for name, value in finding.evidence.items())
        yield _indented(visible(" · ".join(numbers)), 4, style="dim")
    shown = finding.advice if style.verbose else finding.advice[:ADVICE_SHOWN]
    if shown:
        grid = Table.grid(padding=(0, 1))
        for advice in shown:
            grid.add_row(Text("→", style="green"), Text(visible(advice)))
        yield Padding(grid, (0, 0, 0, 4))


def _consequence(finding: Finding) -> RenderableType:
    words, colour = severity_look(severity_of(finding))
    where = steps(finding.first_step, finding.last_step)
    grid = Table.grid(padding=(0, 1))
    grid.add_row("↳", Text.assemble((words[0], colour), f" {finding.rule}, {where}: {visible(finding.message)}"))
    return Padding(grid, (0, 0, 0, 4))


def _coverage(diagnosis: Diagnosis, style: Style, rules: int) -> Iterator[RenderableType]:
    """Say what looked, what did not and why, what was not read, and what was assumed."""
    looked = rules - len(diagnosis.not_checked)
    lines = [f"{count(looked, 'rule')} looked; nothing found."] if looked > 0 and not diagnosis.findings else []
    lines += [*_not_checked(diagnosis, style.verbose), *_skipped(diagnosis.run)]
    notes = diagnosis.run.notes
    shown = notes if style.verbose else notes[:NOTES_SHOWN]
    lines += shown
    if len(shown) < len(notes):
        lines.append(f"{count(len(notes) - len(shown), 'more note')}: -v shows all.")
    if lines:
        yield ""
        yield _indented("\n".join(map(visible, lines)), style="dim")


def _not_checked(diagnosis: Diagnosis, verbose: bool) -> Iterator[str]:
    reasons = by_reason(diagnosis.not_checked)
    if verbose:
        yield from (f"Not checked: {', '.join(rules)}: {why}." for why, rules in reasons.items())
    elif reasons:
        shown = [f"{why} ({count(len(rules), 'rule')})" for why, rules in reasons.items()][:REASONS_SHOWN]
        rest = [count(len(reasons) - len(shown), "other reason")] if len(reasons) > len(shown) else []
        yield f"Not checked: {'; '.join(shown + rest)}. -v names them."


def _skipped(run: Run) -> Iterator[str]:
    for skipped in run.skipped:
        where = f" (from line {skipped.line:,})" if skipped.line and skipped.count > 1 else ""
        where = f" (line {skipped.line:,})" if skipped.line and skipped.count == 1 else where
        yield f"Skipped {count(skipped.count, 'line')}{where}: {skipped.reason}."
