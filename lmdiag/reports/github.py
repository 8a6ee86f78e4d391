"""The report as annotations of GitHub Actions, and as the summary of a job.

GitHub shows ten annotations of a kind per step and silently drops the rest: the last one says how many are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, Severity, severity_of
from lmdiag.reports import markdown
from lmdiag.reports.locations import lines_of, relative_path
from lmdiag.reports.phrases import source_of
from lmdiag.reports.report import Report

KINDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
MOST_OF_A_KIND = 10
LARGEST_SUMMARY = 1 << 20


def render(report: Report) -> str:
    """Return one workflow command per finding and unreadable source, at most ten of a kind."""
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS.values()}
    for unreadable in report.unreadable:
        text = f"{unreadable.source} was not read: {unreadable.error}"
        kinds["error"].append(_command("error", text, title="lmdiag", file=relative_path(unreadable.source)))
    for diagnosis, finding in report.findings:
        kind = KINDS[severity_of(finding)]
        kinds[kind].append(_annotation(kind, diagnosis, finding))
    return "\n".join(line for kind, lines in kinds.items() for line in _limited(kind, lines))


def _limited(kind: str, lines: list[str]) -> Iterator[str]:
    if len(lines) <= MOST_OF_A_KIND:
        yield from lines
        return
    shown = MOST_OF_A_KIND - 1
    yield from lines[:shown]
    yield _command(kind, f"{len(lines) - shown} more of this kind: see the summary of the job", title="lmdiag")


def _annotation(kind: str, diagnosis: Diagnosis, finding: Finding) -> str:
    first, last = lines_of(diagnosis.run, finding)
    where = diagnosis.run.place(finding.first_step, finding.last_step)
    advice = "".join(f"\n{rank}. {text}" for rank, text in enumerate(finding.advice, 1))
    return _command(
        kind,
        f"{source_of(diagnosis.run)}: {finding.rule}, {where}: {finding.message}{advice}",
        title=f"lmdiag ({finding.rule})",
        file=relative_path(diagnosis.run.source),
        line=str(first),
        endLine=str(last),
    )


def _command(kind: str, text: str, **properties: str) -> str:
    """Write a workflow command.

    >>> _command("error", "100%\\n", title="a:b,c")
    '::error title=a%3Ab%2Cc::100%25%0A'
    """
    written = ",".join(f"{name}={_escape(_escape(value), ':,')}" for name, value in properties.items())
    return f"::{kind} {written}::{_escape(text)}"


def _escape(text: str, characters: str = "%\r\n") -> str:
    for character in characters:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def summary(report: Report) -> str:
    """Return the report as Markdown, cut where GitHub would refuse the whole of it."""
    whole = markdown.render(report).encode()
    if len(whole) < LARGEST_SUMMARY:
        return whole.decode()
    cut = whole[: LARGEST_SUMMARY - 200].decode(errors="ignore")
    return cut.rpartition("\n")[0] + "\n\n… cut here: the summary of a job holds 1 MiB.\n"
