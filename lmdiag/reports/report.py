"""What every report format renders: the diagnoses of one invocation, and what could not be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lmdiag.diagnose import VERDICTS, Diagnosis
from lmdiag.finding import Finding, Rule, Severity, severity_of
from lmdiag.reports.left_out import PassedOver, Suppressed, Unreadable


@dataclass(frozen=True)
class Report:
    """The result of one invocation of lmdiag.

    `rules` are those that were selected; `fail_on` is the least severity that fails the gate; `others` are
    diagnoses that count for the verdict and are not shown.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    rules: tuple[Rule, ...] = ()
    fail_on: str = "error"
    suppressed: tuple[Suppressed, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    others: tuple[Diagnosis, ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict}, runs: {len(self.diagnoses) + len(self.others)}, findings: {len(self.findings)}>"

    @property
    def verdict(self) -> str:
        """The worst verdict of all runs; `not-judged` when there is none."""
        return max((d.verdict for d in (*self.diagnoses, *self.others)), key=VERDICTS.index, default="not-judged")

    @property
    def findings(self) -> list[tuple[Diagnosis, Finding]]:
        """Every finding with the diagnosis it belongs to, worst first."""
        pairs = [(d, f) for d in self.diagnoses for f in d.findings]
        return sorted(pairs, key=lambda pair: -severity_of(pair[1]))

    def count(self, severity: Severity) -> int:
        """Return how many findings have exactly this severity."""
        return sum(severity_of(f) == severity for _, f in self.findings)

    @property
    def verdicts(self) -> Counter[str]:
        """How many runs got each verdict, as people are told it."""
        return Counter(d.shown for d in (*self.diagnoses, *self.others))

    def _repr_html_(self) -> str:
        from lmdiag.reports.notebook import report_html

        return report_html(self.diagnoses, self.unreadable)
