"""What changed in a growing log since the last look, as lines of text or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lmdiag.finding import Finding, Key, severity_of
from lmdiag.reports.json import finding_entry
from lmdiag.reports.terminal import Style, severity_look, verdict_look
from lmdiag.run import Run
from lmdiag.strict_json import dumps


@dataclass(frozen=True)
class Change:
    """One thing that changed at a step: `what` is `new`, `graver`, `milder` or `gone` for a finding; `verdict`; of a run
    `following`, `crashed`, `resumed`, `ended`, `stalled`; `waiting` for something to judge."""

    what: str
    step: int
    message: str
    finding: Finding | None = None
    verdict: str = ""


def changes(before: Mapping[Key, Finding], after: Mapping[Key, Finding], step: int) -> Iterator[Change]:
    """Yield what the findings of two looks at one run differ in, worst first; consequences of others are no change.

    >>> from lmdiag.finding import Severity
    >>> rise = Finding("It rose.", 5, 9, rule="divergence", severity=Severity.WARNING)
    >>> [change.what for change in changes({}, {("divergence", "loss", 1): rise}, 9)]
    ['new']
    """
    for key, finding in sorted(after.items(), key=lambda pair: -severity_of(pair[1])):
        known = before.get(key)
        if finding.consequence_of is not None:
            continue
        if known is None or known.consequence_of is not None:
            yield Change("new", step, finding.message, finding)
        elif known.severity != finding.severity:
            graver = severity_of(finding) > severity_of(known)
            yield Change("graver" if graver else "milder", step, finding.message, finding)
    for key, finding in before.items():
        if key not in after and finding.consequence_of is None:
            yield Change("gone", step, "no longer found", finding)


def as_text(change: Change, time: str, style: Style, run: Run) -> str:
    """Return the lines that tell a change to a person."""
    lead = f"{time}  {run.place(change.step):<14} "
    words, colour = _look(change)
    where = (
        f"{change.finding.rule}, {run.place(change.finding.first_step, change.finding.last_step)}: "
        if change.finding
        else ""
    )
    lines = list(style.paragraph(f"{where}{change.message}", 0, lead + f"{words:<13}", colour=colour))
    if change.what in ("new", "graver") and change.finding is not None:
        lines += [line for advice in change.finding.advice[:1] for line in style.paragraph(advice, len(lead), "→ ")]
    return "\n".join(lines)


def as_json(change: Change, time: str, run: str) -> str:
    """Return the line that tells a change to a program."""
    facts = finding_entry(change.finding) if change.finding is not None else {}
    facts |= {"verdict": change.verdict} if change.verdict else {}
    return dumps(
        {"type": change.what, "time": time, "run": run, "step": change.step, "message": change.message, **facts}
    )


def _look(change: Change) -> tuple[str, str]:
    if change.what in ("new", "graver", "milder") and change.finding is not None:
        return severity_look(severity_of(change.finding))
    if change.verdict:
        return verdict_look(change.verdict)
    icon, colour = {"gone": ("○", "green"), "stalled": ("✗", "red"), "crashed": ("✗", "red")}.get(
        change.what, ("·", "cyan")
    )
    return f"{icon} {change.what}", colour
