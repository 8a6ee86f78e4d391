"""Runs on a trackio server, by its HTTP API: `trackio://HOST:PORT/PROJECT[/RUN]`, or of a Space `trackio://USER/SPACE/PROJECT[/RUN]`.

The API gives at most 3,000 points of a run, but answers questions to its database, which is the same as on a disk.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.trackers.names import history_conventions
from lmdiag.readers.trackers.trackio import FORMAT, PUBLISHED, alerts, json_object, take, unix_time
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, parsed
from lmdiag.trackers.service import Service

_LEVELS = {"unhealthy": "error", "suspect": "warn"}
ROWS_A_PAGE = 5000  # the server refuses more than 10,000
_NAMED = (
    "SELECT run_id, MIN(run_name) AS name, MIN(timestamp) AS began FROM metrics GROUP BY run_id ORDER BY MIN(id) DESC"
)


def listed(address: Address) -> Iterator[Source]:
    """Yield the runs of a project, newest first, or the one that is named by id or by name."""
    service, (project, *run) = _service(*_server(address)), _names(address)
    if address.filters.states or address.filters.tags:
        raise UnreadableLog(
            f"{address.shown}: trackio knows neither states nor tags", "filter by limit, since or until"
        )
    known = service.post("api/get_all_projects", {}).get("data") or []
    if project not in known:
        hint = f"known are {', '.join(map(str, known[:20]))}" if known else "it names none: check that it is trackio"
        raise UnreadableLog(f"{service.shown} has no project {project!r}", hint)
    for found in _asked(service, project, _NAMED):
        began = unix_time(found["began"]) or 0.0
        if address.filters.in_time(began) and (not run or run[0] in (found["run_id"], found["name"])):
            before = address.parts[: len(address.parts) - len(_names(address))]
            where = address.below(*before, project, str(found["run_id"]))
            yield Source(where, content=json.dumps(found).encode(), url=where, met=run != [found["run_id"]])


def begin(source: Source) -> TrackioHistory:
    """Return the history of a run that `listed` found."""
    return TrackioHistory(source)


def publish(address: Address, said: Mapping[str, str]) -> None:
    """Write an alert to a run: the same but once, for the server knows it by what it says."""
    project, run = _names(address)
    shown, url = _server(address)
    space, token = _is_space(address), os.environ.get("TRACKIO_WRITE_TOKEN", "")
    if not space and not token:
        hint = "set TRACKIO_WRITE_TOKEN to the token of its write-access URL"
        raise UnreadableLog(f"{shown} takes alerts with a write token only", hint)
    (about,) = _asked(
        _service(shown, url), project, f"SELECT MIN(run_name) AS name FROM metrics WHERE run_id = {_quoted(run)}"
    )
    title, text = PUBLISHED + said["lmdiag.verdict"], f"{said['lmdiag.findings']}\n{said['lmdiag.summary']}"
    entry = {
        "project": project,
        "run": about["name"],
        "run_id": run,
        "title": title,
        "text": text,
        "timestamp": datetime.now(UTC).isoformat(),  # an alert without one is dropped, and nothing said
        "level": _LEVELS.get(said["lmdiag.verdict"], "info"),
        "alert_id": f"lmdiag-{sha256(f'{run} {title} {text}'.encode()).hexdigest()[:32]}",
    }
    service = _service(shown, url) if space else Service(shown, url, {"X-Trackio-Write-Token": token}, (token,))
    asked = {"alerts": [entry], "hf_token": (_hub_token() or None) if space else None}
    service.post("api/bulk_alert", {"args": [], "kwargs": asked})


class TrackioHistory:
    """The rows of one run: one for each `log` call."""

    ended = False  # the server does not tell

    def __init__(self, source: Source) -> None:
        self._source = source
        self._about: dict[str, Any] = json.loads(source.content or b"{}")
        where = parsed(source.url)
        self._project = _names(where)[0]
        self._service = _service(*_server(where))
        self._rows = Rows()
        self._last_row = 0
        self._last_time = 0.0
        self._beside: dict[str, list[dict[str, Any]]] = {}

    @property
    def latest(self) -> float:
        """When the last row was logged, in seconds since the epoch."""
        return self._last_time

    def update(self) -> bool:
        """Ask for the rows that are new, and for the settings and the alerts of the run."""
        run = _quoted(str(self._about["run_id"]))
        length, full = len(self._rows), True
        while full:
            page = self._ask(
                f"SELECT id, step, timestamp, metrics FROM metrics WHERE run_id = {run} AND id > {self._last_row} "
                f"ORDER BY id LIMIT {ROWS_A_PAGE}"
            )
            for row in page:
                take(self._rows, row["id"], row["step"], row["timestamp"], row["metrics"])
                self._last_row = max(self._last_row, int(row["id"]))
                self._last_time = max(self._last_time, unix_time(row["timestamp"]) or 0.0)
            full = len(page) == ROWS_A_PAGE
        tables = {row["name"] for row in self._ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, columns in (("configs", "config"), ("alerts", "id, level, title, text, step")):
            if table in tables:
                self._beside[table] = self._ask(
                    f"SELECT {columns} FROM {table} WHERE run_id = {run} LIMIT {ROWS_A_PAGE}"
                )
        return len(self._rows) > length

    def _ask(self, query: str) -> list[dict[str, Any]]:
        return _asked(self._service, self._project, query)

    def log(self) -> RawLog:
        """Return the run as the reader of trackio's database would."""
        told = sorted(self._beside.get("alerts", []), key=lambda row: int(row["id"]))
        configs = self._beside.get("configs", [])
        log = self._rows.log(
            FORMAT,
            str(self._about["name"]),
            source=self._source.name,
            settings=(json_object(configs[0]["config"]) or {}) if configs else {},
            events=alerts((row["level"], row["title"], row["text"], row["step"]) for row in told),
        )
        return history_conventions(log)


def _asked(service: Service, project: str, query: str) -> list[dict[str, Any]]:
    answer = service.post("api/query_project", {"args": [], "kwargs": {"project": project, "query": query}})
    rows = (answer.get("data") or {}).get("rows")
    if rows is None:
        raise UnreadableLog(f"{service.shown} does not answer questions", "it may run an old trackio: redeploy it")
    return list(rows)


def _quoted(text: str) -> str:
    """Return a text of SQL.

    >>> _quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _is_space(address: Address) -> bool:
    """Tell whether a host is the user of a Space: it has no port and no dot."""
    return not re.search(r"[.:]", address.host) and address.host != "localhost" and "+" not in address.scheme


def _names(address: Address) -> list[str]:
    """Return the names of a project and perhaps a run."""
    names = list(address.parts[1:] if _is_space(address) else address.parts)
    if len(names) not in (1, 2):
        raise UnreadableLog(
            f"{address.shown} names no project of trackio",
            "write trackio://HOST:PORT/PROJECT, or trackio://USER/SPACE/PROJECT",
        )
    return names


def _server(address: Address) -> tuple[str, str]:
    """Return how a server is shown, and its URL."""
    if not _is_space(address):
        https = address.scheme.endswith("+https")
        return f"{address.scheme}://{address.host}", f"{'https' if https else 'http'}://{address.host}"
    space = address.parts[0] if address.parts else ""
    name = re.sub("[_.]", "-", f"{address.host}-{space}".lower())
    return f"{address.scheme}://{address.host}/{space}", f"https://{name}.hf.space"


def _service(shown: str, url: str) -> Service:
    token = _hub_token() if url.endswith(".hf.space") else ""
    return known_service(shown, url, token)


@cache
def known_service(shown: str, url: str, token: str) -> Service:
    """Return the one service for a server, which remembers whether it answers."""
    return Service(shown, url, {"Authorization": f"Bearer {token}"} if token else {}, (token,))


def _hub_token() -> str:
    """Return the token of the Hugging Face Hub, as its own client keeps it; "" where there is none."""
    if token := os.environ.get("HF_TOKEN"):
        return token
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    try:
        return Path(os.environ.get("HF_TOKEN_PATH") or home / "token").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
