"""The end of the terminal report when there is more than one run: a table of all runs, worst first."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lmdiag.diagnose import Diagnosis
from lmdiag.reports.look import verdict_look
from lmdiag.reports.report import Report, count_alarms, summarize, worst_first
from lmdiag.reports.wording import count, number, source_of

HEALTHY_SHOWN = 20  # more healthy runs than this are only counted


def overview(report: Report, verbose: bool = False) -> Iterator[RenderableType]:
    """Yield one row per run."""
    healthy = [d for d in report.diagnoses if d.verdict == "healthy"]
    hidden = 0 if verbose else max(len(healthy) - HEALTHY_SHOWN, 0)
    rows = worst_first(report.diagnoses)
    yield _table(rows[: len(rows) - hidden])
    if hidden:
        yield Text(f"… and {count(hidden, 'more healthy run')}: -v lists them.", style="dim")


def _table(diagnoses: list[Diagnosis]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("verdict", no_wrap=True)
    table.add_column("run", overflow="fold")
    for name in ("steps", "last loss", "perplexity", "errors", "warnings"):
        table.add_column(name, justify="right", no_wrap=True)
    for diagnosis in diagnoses:
        words, colour = verdict_look(diagnosis.verdict)
        table.add_row(Text(words, style=colour), *_cells(diagnosis))
    return table


def _cells(diagnosis: Diagnosis) -> list[str]:
    summary = summarize(diagnosis.run)
    errors, warnings = count_alarms(diagnosis)
    return [
        source_of(diagnosis.run),
        f"{diagnosis.run.last_step:,}",
        number(summary.loss_last),
        number(summary.perplexity_last),
        str(errors or "–"),
        str(warnings or "–"),
    ]
