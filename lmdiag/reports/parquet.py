"""The report as a table with one row per run, for queries over thousands of runs; findings are a list in each row.

pl.read_parquet("runs.parquet").explode("findings").unnest("findings")
"""

from __future__ import annotations

import io
from typing import Any

from lmdiag.reports.entries import count_alarms
from lmdiag.reports.json import finding_entry, run_entry
from lmdiag.reports.report import Report
from lmdiag.strict_json import encodable

FINDING = ("rule", "family", "severity", "metric", "message", "consequence_of")


def render(report: Report) -> bytes:
    """Return the bytes of a parquet file; sources that could not be read are rows with an `error`."""
    import polars as pl

    finding = pl.Struct({**dict.fromkeys(FINDING, pl.String), "first_step": pl.Int64, "last_step": pl.Int64})
    words = ("name", "source", "format", "verdict", "error", "best_metric")
    counts = ("run_first_step", "run_last_step", "points", "errors", "warnings", "skipped_lines", "best_step")
    numbers = ("loss_first", "loss_last", "loss_min", "perplexity_last", "best_value")
    schema: dict[str, Any] = {
        **dict.fromkeys(words, pl.String),
        **dict.fromkeys(counts, pl.Int64),
        **dict.fromkeys(numbers, pl.Float64),
        "findings": pl.List(finding),
    }
    buffer = io.BytesIO()
    pl.DataFrame(rows(report), schema=schema).write_parquet(buffer)
    return buffer.getvalue()


def rows(report: Report) -> list[dict[str, Any]]:
    """Return one row per run, then one per source that could not be read."""
    found = []
    for diagnosis in report.diagnoses:
        entry = run_entry(diagnosis)
        steps, summary, best = entry["steps"], entry["summary"], diagnosis.best
        errors, warnings = count_alarms(diagnosis)
        found.append(
            {name: encodable(entry[name]) for name in ("name", "source", "format", "verdict")}
            | {"skipped_lines": entry["skipped_lines"]}
            | {"run_first_step": steps["first"], "run_last_step": steps["last"], "points": steps["points"]}
            | {"errors": errors, "warnings": warnings}
            | {name: _number(summary[name]) for name in ("loss_first", "loss_last", "loss_min", "perplexity_last")}
            | ({"best_metric": best.metric, "best_step": best.step, "best_value": best.value} if best else {})
            | {"findings": [_finding(finding_entry(finding)) for finding in diagnosis.findings]}
        )
    return found + [{"source": encodable(u.source), "error": encodable(u.error)} for u in report.unreadable]


def _finding(entry: dict[str, Any]) -> dict[str, Any]:
    words = {name: entry[name] and encodable(entry[name]) for name in FINDING}
    return words | {name: entry[name] for name in ("first_step", "last_step")}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
