"""The order in which runs and findings are shown, how many alarms a run has, and which comes first."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from lmdiag.diagnose import VERDICTS, Diagnosis
from lmdiag.finding import Finding, Severity, severity_of


def count_alarms(diagnosis: Diagnosis) -> tuple[int, int]:
    """Return how many errors and how many warnings a run has."""
    severities = [severity_of(f) for f in diagnosis.findings]
    return severities.count(Severity.ERROR), severities.count(Severity.WARNING)


def worst_first(diagnoses: tuple[Diagnosis, ...]) -> list[Diagnosis]:
    """Return the diagnoses with the worst verdicts first."""
    return sorted(diagnoses, key=lambda d: -VERDICTS.index(d.verdict))


class Entry(Struct, frozen=True):
    """A finding, and the findings that it explains."""

    finding: Finding
    consequences: tuple[Finding, ...]


def entries(diagnosis: Diagnosis) -> Iterator[Entry]:
    """Yield each finding that no other explains, with the findings that it explains."""
    causes = {finding.rule for finding in diagnosis.findings if not finding.consequence_of}
    told: set[str] = set()
    for finding in diagnosis.findings:
        if finding.consequence_of in causes:
            continue
        explained = [f for f in diagnosis.findings if f.consequence_of == finding.rule and finding.rule not in told]
        told.add(finding.rule)
        yield Entry(finding, tuple(explained))


def main_finding(diagnosis: Diagnosis) -> str:
    """Return the rule and the first step of the first alarm of a run, "–" where there is none."""
    first = next((entry.finding for entry in entries(diagnosis) if entry.finding.alarms), None)
    return f"{first.rule}, {diagnosis.run.place(first.first_step)}" if first else "–"
