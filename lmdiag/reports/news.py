"""What is new about a growing log, as lines of text or JSON: only what changed since the last look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lmdiag.finding import Finding
from lmdiag.reports.json import finding_entry
from lmdiag.reports.look import Style, severity_look, verdict_look
from lmdiag.reports.report import severity_of
from lmdiag.reports.wording import steps
from lmdiag.standing import Key
from lmdiag.strict_json import dumps


@dataclass(frozen=True)
class News:
    """One thing that changed at a step: `what` is `new`, `graver`, `milder` or `gone` for a finding; `verdict`; of a run
    `following`, `crashed`, `resumed`, `ended`, `stalled`; `waiting` for something to judge."""

    what: str
    step: int
    message: str
    finding: Finding | None = None
    verdict: str = ""


def changes(before: Mapping[Key, Finding], after: Mapping[Key, Finding], step: int) -> Iterator[News]:
    """Yield what the findings of two looks at one run differ in, worst first; consequences of others are no news.

    >>> from lmdiag.finding import Severity
    >>> rise = Finding("It rose.", 5, 9, rule="divergence", severity=Severity.WARNING)
    >>> [news.what for news in changes({}, {("divergence", "loss", 1): rise}, 9)]
    ['new']
    """
    for key, finding in sorted(after.items(), key=lambda pair: -severity_of(pair[1])):
        known = before.get(key)
        if finding.consequence_of is not None:
            continue
        if known is None or known.consequence_of is not None:
            yield News("new", step, finding.message, finding)
        elif known.severity != finding.severity:
            graver = severity_of(finding) > severity_of(known)
            yield News("graver" if graver else "milder", step, finding.message, finding)
    for key, finding in before.items():
        if key not in after and finding.consequence_of is None:
            yield News("gone", step, "no longer found", finding)


def as_text(news: News, time: str, style: Style) -> str:
    """Return the lines that tell news to a person."""
    lead = f"{time}  step {news.step:<9,} "
    words, colour = _look(news)
    where = f"{news.finding.rule}, {steps(news.finding.first_step, news.finding.last_step)}: " if news.finding else ""
    lines = list(style.paragraph(f"{where}{news.message}", 0, lead + f"{words:<13}", colour=colour))
    if news.what in ("new", "graver") and news.finding is not None:
        lines += [line for advice in news.finding.advice[:1] for line in style.paragraph(advice, len(lead), "→ ")]
    return "\n".join(lines)


def as_json(news: News, time: str, run: str) -> str:
    """Return the line that tells news to a program."""
    facts = finding_entry(news.finding) if news.finding is not None else {}
    facts |= {"verdict": news.verdict} if news.verdict else {}
    return dumps({"type": news.what, "time": time, "run": run, "step": news.step, "message": news.message, **facts})


def _look(news: News) -> tuple[str, str]:
    if news.what in ("new", "graver", "milder") and news.finding is not None:
        return severity_look(severity_of(news.finding))
    if news.verdict:
        return verdict_look(news.verdict)
    icon, colour = {"gone": ("○", "green"), "stalled": ("✗", "red"), "crashed": ("✗", "red")}.get(
        news.what, ("·", "cyan")
    )
    return f"{icon} {news.what}", colour
