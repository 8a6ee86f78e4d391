"""What every report format takes: the diagnoses of one invocation, and what could not be read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lmdiag.diagnose import VERDICTS, Diagnosis
from lmdiag.finding import Finding, Rule, Severity
from lmdiag.run import Run


@dataclass(frozen=True)
class Unreadable:
    """A source that could not be read, why, and what to do about it."""

    source: str
    error: str
    hint: str = ""


@dataclass(frozen=True)
class Suppressed:
    """A finding that does not count, and why."""

    run: Run
    finding: Finding
    reason: str


@dataclass(frozen=True)
class Report:
    """Everything one invocation of lmdiag has to say.

    `rules` are those that were asked to look; `fail_on` is the least severity that fails the gate.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    rules: tuple[Rule, ...] = ()
    fail_on: str = "error"
    suppressed: tuple[Suppressed, ...] = ()

    @property
    def verdict(self) -> str:
        """The worst verdict of all runs; `not-judged` when there is none."""
        return max((d.verdict for d in self.diagnoses), key=VERDICTS.index, default="not-judged")

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
        """How many runs got each verdict."""
        return Counter(d.verdict for d in self.diagnoses)

    def _repr_html_(self) -> str:
        from lmdiag.reports.notebook import report_html

        return report_html(self)


def severity_of(finding: Finding) -> Severity:
    """Return the severity of a finding; one that no rule graded is an info."""
    return finding.severity or Severity.INFO


def fails(severity: Severity, fail_on: str) -> bool:
    """Tell whether a finding of this severity fails the gate.

    >>> fails(Severity.WARNING, "error"), fails(Severity.WARNING, "info"), fails(Severity.ERROR, "never")
    (False, True, False)
    """
    return fail_on != "never" and severity >= Severity[fail_on.upper()]


def count_alarms(diagnosis: Diagnosis) -> tuple[int, int]:
    """Return how many errors and how many warnings a run has."""
    severities = [severity_of(f) for f in diagnosis.findings]
    return severities.count(Severity.ERROR), severities.count(Severity.WARNING)


def worst_first(diagnoses: tuple[Diagnosis, ...]) -> list[Diagnosis]:
    """Return the diagnoses in the order in which they deserve to be looked at."""
    return sorted(diagnoses, key=lambda d: -VERDICTS.index(d.verdict))


@dataclass(frozen=True)
class Entry:
    """A finding, and those that it explains."""

    finding: Finding
    consequences: tuple[Finding, ...]


def entries(diagnosis: Diagnosis) -> Iterator[Entry]:
    """Yield each finding that no other explains, with those that it explains."""
    causes = {finding.rule for finding in diagnosis.findings if not finding.consequence_of}
    told: set[str] = set()
    for finding in diagnosis.findings:
        if finding.consequence_of in causes:
            continue
        explained = [f for f in diagnosis.findings if f.consequence_of == finding.rule and finding.rule not in told]
        told.add(finding.rule)
        yield Entry(finding, tuple(explained))


@dataclass(frozen=True)
class Summary:
    """The few numbers that say how a run went; None where the log does not tell.

    `metric` is the loss they are about, in nats per token; perplexities are exp(loss), and None for a loss that is
    not a mean log-likelihood of tokens.
    """

    metric: str | None = None
    points: int = 0
    loss_first: float | None = None
    loss_last: float | None = None
    loss_min: float | None = None
    loss_min_step: int | None = None
    perplexity_last: float | None = None
    perplexity_min: float | None = None


def summarize(run: Run) -> Summary:
    """Return the first, last and lowest loss of a run, with their perplexities.

    >>> import numpy as np
    >>> from lmdiag.run import Series
    >>> summary = summarize(Run("a", {"loss": Series(np.array([1, 2, 3]), np.array([2.0, 1.0, np.inf]))}))
    >>> summary.loss_last, summary.loss_min, summary.loss_min_step, round(summary.perplexity_min, 3)
    (inf, 1.0, 2, 2.718)
    """
    curve = run.curve
    if curve is None or not len(curve[1]):
        return Summary()
    metric, series = curve
    finite = series.finite
    lowest = int(finite.values.argmin()) if len(finite) else None
    loss_min = None if lowest is None else float(finite.values[lowest])
    last = float(series.values[-1])
    return Summary(
        metric=metric,
        points=series.logged or len(series),
        loss_first=float(series.values[0]),
        loss_last=last,
        loss_min=loss_min,
        loss_min_step=None if lowest is None else int(finite.steps[lowest]),
        perplexity_last=perplexity(last, run.objective),
        perplexity_min=None if loss_min is None else perplexity(loss_min, run.objective),
    )


def perplexity(loss: float, objective: str = "causal-lm") -> float | None:
    """Return exp(loss), infinity where that is too large to write down, and None for what is no language model.

    >>> round(perplexity(3.0), 2), perplexity(1000.0), perplexity(0.3, "classification")
    (20.09, inf, None)
    """
    if objective not in ("causal-lm", "masked-lm"):
        return None
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
