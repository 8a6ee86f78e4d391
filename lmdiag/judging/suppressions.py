"""Findings that no longer count: those a suppression accepts, and those a baseline already holds."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch

from msgspec import Struct, structs

from lmdiag.config import Suppression, suppressions
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import BadSetting
from lmdiag.finding import Finding
from lmdiag.reports.left_out import Suppressed
from lmdiag.reports.locations import fingerprints, relative_path
from lmdiag.reports.report import Report
from lmdiag.run import Run


class Accepted(Struct, frozen=True):
    """What is accepted: suppressions still in force, and the fingerprints of a baseline, read from `file`."""

    suppressions: tuple[Suppression, ...] = ()
    known: frozenset[str] = frozenset()
    file: str = ""


def header_suppressions(run: Run) -> tuple[tuple[Suppression, ...], str]:
    """Return what the header of a log accepts for this log, `"suppress": [{"rule": …, "reason": …}]`, and what is wrong
    with it ("" if nothing): a header may be wrong without hiding any log.

    >>> header_suppressions(Run("a", {}, config={"suppress": [{"rule": "spikes", "reason": "planned"}]}))[0][0].reason
    'planned'
    """
    written = run.config.get("suppress")
    try:
        return suppressions(written, f"{run.source or run.name}: suppress") if written else (), ""
    except BadSetting as error:
        return (), error.message


def without_accepted(
    diagnosis: Diagnosis, accepted: Accepted, today: datetime.date
) -> tuple[Diagnosis, list[Suppressed]]:
    """Return the diagnosis without what is accepted, and what was accepted with the reason; consequences go with their cause."""
    own = in_force(header_suppressions(diagnosis.run)[0], today)
    accepted = structs.replace(accepted, suppressions=(*accepted.suppressions, *own))
    if not (accepted.suppressions or accepted.known):
        return diagnosis, []
    prints = fingerprints(diagnosis)
    reasons = {
        at: reason
        for at, (finding, print_) in enumerate(zip(diagnosis.findings, prints, strict=True))
        if (reason := _reason(finding, print_, diagnosis, accepted))
    }
    causes = {diagnosis.findings[at].rule: reason for at, reason in reasons.items()}
    left = {f.rule for at, f in enumerate(diagnosis.findings) if at not in reasons}
    for at, finding in enumerate(diagnosis.findings):
        cause = finding.consequence_of
        if at not in reasons and cause in causes and cause not in left:
            reasons[at] = f"consequence of {cause}: {causes[cause]}"
    kept = tuple(f for at, f in enumerate(diagnosis.findings) if at not in reasons)
    gone = [
        Suppressed(diagnosis.run, diagnosis.findings[at], reasons[at], prints[at] in accepted.known)
        for at in sorted(reasons)
    ]
    known = sum(suppressed.known and suppressed.finding.alarms for suppressed in gone)
    return replace(diagnosis, findings=kept, known=known, accepted=len(gone)), gone


def _reason(finding: Finding, fingerprint: str, diagnosis: Diagnosis, accepted: Accepted) -> str:
    for suppression in accepted.suppressions:
        if _covers(suppression, finding, diagnosis.run.source):
            return suppression.reason
    return f"known: it is in {accepted.file}" if fingerprint in accepted.known else ""


def _covers(suppression: Suppression, finding: Finding, source: str) -> bool:
    first, last = suppression.steps or (finding.first_step, finding.first_step)
    return (
        suppression.rule in (finding.rule, finding.family, "all")
        and fnmatch(relative_path(source), suppression.match)
        and first <= finding.first_step <= last
    )


def in_force(written: Sequence[Suppression], today: datetime.date) -> tuple[Suppression, ...]:
    """Return the suppressions that have not expired; `until` is the last day on which one holds."""
    return tuple(suppression for suppression in written if not _expired(suppression, today))


def complaints(written: Sequence[Suppression], report: Report, today: datetime.date) -> Iterator[str]:
    """Yield a warning for each suppression that has expired, or that its logs did not need."""
    sources = [relative_path(diagnosis.run.source) for diagnosis in report.diagnoses]
    for suppression in written:
        if any(fnmatch(source, suppression.match) for source in sources) or _expired(suppression, today):
            yield from _complaint(suppression, report.suppressed, today)
    for diagnosis in report.diagnoses:
        mine = [gone for gone in report.suppressed if gone.run is diagnosis.run]
        own, problem = header_suppressions(diagnosis.run)
        if problem:
            yield problem
        for suppression in own:
            for complaint in _complaint(suppression, mine, today):
                yield f"{diagnosis.run.source}: {complaint}"


def _complaint(suppression: Suppression, suppressed: Sequence[Suppressed], today: datetime.date) -> Iterator[str]:
    about = f"the suppression of {suppression.rule} ({suppression.reason})"
    if _expired(suppression, today):
        yield f"{about} expired on {suppression.until}"
    elif not any(_covers(suppression, gone.finding, gone.run.source) for gone in suppressed):
        yield f"{about} suppresses nothing: remove it"


def _expired(suppression: Suppression, today: datetime.date) -> bool:
    return suppression.until is not None and today > suppression.until
