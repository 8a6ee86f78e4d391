"""trackio's database: one row per log call, with the metrics as JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.trackers.names import history_conventions
from lmdiag.run import Event

FORMAT = "trackio"
PUBLISHED = "lmdiag: "  # begins the titles of alerts that a check wrote
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
    for row in database.execute(query, (run,)):
        take(rows, *row)
    log = rows.log(
        FORMAT,
        f"{source}#{name}" if count > 1 else name,
        source=source,
        settings=_config(database, key, run),
        events=_alerts(database, key, run),
    )
    return history_conventions(log)


def take(rows: Rows, number: int, step: Any, time: Any, metrics: Any) -> None:
    """Add one row of the table of metrics; its step counts the calls where none was given, and a logged counter goes before it."""
    logged = json_object(metrics)
    if logged is None:
        rows.skip(0, f"row {number}: the metrics are not a JSON object")
    else:
        rows.add({"_step": step, "timestamp": unix_time(time), **logged})


def json_object(stored: Any) -> dict[str, Any] | None:
    """Return the object that a text of JSON holds, None where it holds none."""
    try:
        found = json.loads(stored)
    except (TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def unix_time(time: Any) -> float | None:
    """Return a time as seconds since the epoch, None for what is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None


def _config(database: sqlite3.Connection, key: str, run: str) -> dict[str, Any]:
    if not _has(database, "configs", key):
        return {}
    row = database.execute(f"SELECT config FROM configs WHERE {key} = ?", (run,)).fetchone()
    return (json_object(row[0]) or {}) if row else {}


def _alerts(database: sqlite3.Connection, key: str, run: str) -> tuple[Event, ...]:
    if not _has(database, "alerts", key):
        return ()
    found = database.execute(f"SELECT level, title, text, step FROM alerts WHERE {key} = ? ORDER BY id", (run,))
    return alerts(found)


def alerts(rows: Iterable[Sequence[Any]]) -> tuple[Event, ...]:
    """Return the alerts of a run, rows of level, title, text and step, as events; not those that `lmdiag check --publish` wrote."""
    return tuple(
        Event("alert", step, f"{title}: {text}" if text else str(title), {"level": level})
        for level, title, text, step in rows
        if not str(title).startswith(PUBLISHED)
    )
