"""The report as one JSON document: the contract `lmdiag-report/1`.

Non-finite numbers are the strings "NaN", "Infinity" and "-Infinity", so that the document is strict JSON; `null` means
that the log does not have it.
"""

from __future__ import annotations

from typing import Any

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, severity_of
from lmdiag.perplexity import Perplexity
from lmdiag.reports.account import account_entry
from lmdiag.reports.report import Report
from lmdiag.reports.summary import summarize
from lmdiag.run import Run
from lmdiag.strict_json import dumps, plain
from lmdiag.version import __version__

SCHEMA = "lmdiag-report/1"


def render(report: Report) -> str:
    """Return the report as indented JSON."""
    return dumps(document(report), indent=2)


def document(report: Report) -> dict[str, Any]:
    """Return the report as plain lists, dicts, strings and finite numbers."""
    return {
        "schema": SCHEMA,
        "lmdiag": __version__,
        "verdict": report.verdict,
        "runs": [run_entry(diagnosis) for diagnosis in report.diagnoses],
        "unreadable": [{"source": u.source, "error": u.error, "hint": u.hint} for u in report.unreadable],
        "suppressed": [
            {"source": s.run.source, "run": s.run.name, "reason": s.reason, **finding_entry(s.finding)}
            for s in report.suppressed
        ],
        "passed_over": [{"source": p.source, "why": p.why} for p in report.passed_over],
    }


def run_entry(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return one run as plain data."""
    run = diagnosis.run
    return {
        "name": run.name,
        "source": run.source,
        "format": run.format,
        "method": run.trained_by,
        "verdict": diagnosis.verdict,
        "known": diagnosis.known,
        "complete": run.complete,
        "planned_share": None if run.planned_share is None else round(run.planned_share, 4),
        "unjudged": diagnosis.unjudged or None,
        "steps": _steps(run),
        "summary": _summary(diagnosis),
        "findings": [finding_entry(finding) for finding in diagnosis.findings],
        "not_checked": [{"rule": n.rule, "why": n.why} for n in diagnosis.not_checked],
        "notes": list(run.notes),
        "account": account_entry(run.account),
        "skipped_lines": sum(skipped.count for skipped in run.skipped),
    }


def finding_entry(finding: Finding) -> dict[str, Any]:
    """Return one finding as plain data."""
    return {
        "rule": finding.rule,
        "family": finding.family,
        "severity": severity_of(finding).label,
        "metric": finding.metric,
        "first_step": int(finding.first_step),
        "last_step": int(finding.last_step),
        "message": finding.message,
        "evidence": plain(finding.evidence),
        "advice": [str(line) for line in finding.advice],
        "changes": [plain(change) for change in finding.changes],
        "consequence_of": finding.consequence_of,
    }


def _steps(run: Run) -> dict[str, Any]:
    return {
        "counts": run.step_kind,
        "first": run.first_step,
        "last": run.last_step,
        "points": summarize(run).points,
        "segments": max(len(run.segments), 1),
        "complete": run.complete,
    }


def _summary(diagnosis: Diagnosis) -> dict[str, Any]:
    summary, best, perplexity = summarize(diagnosis.run), diagnosis.best, diagnosis.perplexity
    return {
        "loss_first": plain(summary.loss_first),
        "loss_last": plain(summary.loss_last),
        "loss_min": plain(summary.loss_min),
        "perplexity_last": None if perplexity is None else plain(perplexity.last),
        "perplexity": None if perplexity is None else _perplexity(perplexity),
        "keep": None if diagnosis.keep is None else diagnosis.keep.step,
        "best": None if best is None else {"metric": best.metric, "step": best.step, "value": plain(best.value)},
    }


def _perplexity(found: Perplexity) -> dict[str, Any]:
    """Return what `perplexity_last` is, and the best."""
    return {
        "kind": found.name,
        "unit": "token",
        "of": found.metric,
        "step": found.step,
        "records": found.records,
        "best": plain(found.best),
    }
