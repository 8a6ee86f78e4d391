"""MLflow's SQL store: the tables of `mlflow.db`."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict

from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.run import Skipped

FORMAT = "mlflow-sqlite"
COLUMNS = {"key", "value", "timestamp", "step", "is_nan", "run_uuid"}
_LARGEST = 1.797e308  # MLflow stores infinities as the largest number there is


def runs(database: sqlite3.Connection, source: str) -> list[RawLog]:
    """Return every run that was not deleted, oldest first, under its name or its id."""
    found = database.execute(
        "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage IS NOT 'deleted' ORDER BY start_time, run_uuid"
    ).fetchall()
    return [_run(database, source, run_id, name or run_id, status, len(found)) for run_id, name, status in found]


def _run(database: sqlite3.Connection, source: str, run_id: str, name: str, status: str, count: int) -> RawLog:
    metrics: dict[str, list[tuple[int, float, int]]] = defaultdict(list)
    bad = 0
    query = "SELECT key, timestamp, value, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step"
    for key, time, value, step, is_nan in database.execute(query, (run_id,)):
        try:
            metrics[str(key)].append((counted(time), math.nan if is_nan else unclamped(value), counted(step)))
        except (TypeError, ValueError, OverflowError):
            bad += 1
    params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run_id,)).fetchall())
    skipped = [Skipped(0, "row of the metrics table without a number", bad)] if bad else []
    return tracked_run(FORMAT, f"{source}#{name}" if count > 1 else name, source, metrics, params, status, skipped)


def unclamped(value: float) -> float:
    """Return an infinity for the numbers that stand for it; NaN stays what it is.

    >>> unclamped(-1.7976931348623157e308), unclamped(2.5)
    (-inf, 2.5)
    """
    return value if abs(value) < _LARGEST or math.isnan(value) else float("inf") * (1 if value > 0 else -1)
