"""trackio's database: one row per log call, with the metrics as JSON."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from typing import Any

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.trackers.names import history_conventions
from lmdiag.run import Event

FORMAT = "trackio"
COLUMNS = {"run_name", "step", "metrics", "timestamp"}


def runs(database: sqlite3.Connection, source: str) -> list[RawLog]:
    """Return every run of the project, in the order in which they began."""
    key = "run_id" if _has(database, "metrics", "run_id") else "run_name"  # the first schema had no ids
    found = database.execute(f"SELECT {key}, run_name FROM metrics GROUP BY {key} ORDER BY MIN(id)").fetchall()
    return [_run(database, source, key, run, str(name), len(found)) for run, name in found]


def _has(database: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row[1] == column for row in database.execute(f"PRAGMA table_info({table})"))


def _run(database: sqlite3.Connection, source: str, key: str, run: str, name: str, count: int) -> RawLog:
    rows = Rows()
    query = f"SELECT id, step, timestamp, metrics FROM metrics WHERE {key} = ? ORDER BY id"
    for number, step, time, metrics in database.execute(query, (run,)):
        logged = _object(metrics)
        if logged is None:
            rows.skip(0, f"row {number}: the metrics are not a JSON object")
        else:
            rows.add({"step": step, "timestamp": _unix(time), **logged})
    log = rows.log(
        FORMAT,
        f"{source}#{name}" if count > 1 else name,
        source=source,
        settings=_config(database, key, run),
        events=_alerts(database, key, run),
    )
    return history_conventions(log)


def _object(stored: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(stored)
    except (TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _unix(time: Any) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None


def _config(database: sqlite3.Connection, key: str, run: str) -> dict[str, Any]:
    if not _has(database, "configs", key):
        return {}
    row = database.execute(f"SELECT config FROM configs WHERE {key} = ?", (run,)).fetchone()
    return (_object(row[0]) or {}) if row else {}


def _alerts(database: sqlite3.Connection, key: str, run: str) -> tuple[Event, ...]:
    if not _has(database, "alerts", key):
        return ()
    found = database.execute(f"SELECT level, title, text, step FROM alerts WHERE {key} = ? ORDER BY id", (run,))
    return tuple(
        Event("alert", step, f"{title}: {text}" if text else str(title), {"level": level})
        for level, title, text, step in found
    )
