"""Runs on a ClearML server, by its own client: `clearml://PROJECT[/TASK]`; the login and the server are those of the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.clearml import Metrics, log_of, take
from lmdiag.run import Skipped
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, Filters
from lmdiag.trackers.service import client_asked

TASKS_A_PAGE, EVENTS_A_PAGE = 200, 1000
RETRIES = {"total": 3, "connect": 3, "read": 3, "redirect": 0, "status": 3, "backoff_factor": 0.5, "backoff_max": 4.0}
LATE_MS = 60_000  # so long after others an event may come, from another process say
_STATES = {
    "running": ("in_progress", "queued"),
    "finished": ("completed", "closed", "publishing", "published"),
    "failed": ("failed",),
    "killed": ("stopped",),
}
_ENDS = {word: state.upper() for state, words in _STATES.items() if state != "running" for word in words}
_ABOUT = ("id", "name", "status", "tags", "started", "created", "last_iteration", "last_update", "hyperparams")


def listed(address: Address) -> Iterator[Source]:
    """Yield the tasks of a project, newest first, or the one that is named by id or by name."""
    project, *task = _names(address)
    with _as_unreadable(address.shown):
        known = _sent("projects", "get_all", {"name": f"^{_exactly(project)}$", "only_fields": ["id", "name"]})
        if not (ids := [one["id"] for one in known["projects"] if one["name"] == project]):
            raise UnreadableLog(f"{address.scheme}: there is no project {project!r}", "name one that its page lists")
        for page in range(1 << 30):
            asked = {"project": ids, "order_by": ["-created"], "page": page, "page_size": TASKS_A_PAGE}
            found = _sent("tasks", "get_all", {**asked, "only_fields": list(_ABOUT)})["tasks"]
            for about in found:
                if _fits(about, address.filters) and (not task or task[0] in (about["id"], about["name"])):
                    where = address.below(about["id"])
                    yield Source(where, content=json.dumps(about).encode(), url=where, met=task != [about["id"]])
            if len(found) < TASKS_A_PAGE:
                return


def begin(source: Source) -> ClearmlHistory:
    """Return the history of a task that `listed` found."""
    return ClearmlHistory(source)


class ClearmlHistory:
    """The scalars of one task, each value an event; new ones are looked for from the last event back."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._about: dict[str, Any] = json.loads(source.content or b"{}")
        self._metrics: Metrics = {}
        self._skipped: list[Skipped] = []
        self._recent: dict[tuple[Any, ...], float] = {}  # the last events, each with its time in ms
        self._asked = False

    @property
    def ended(self) -> bool:
        """Whether the task is over."""
        return self._asked and self._about.get("status") in _ENDS

    @property
    def latest(self) -> float:
        """When the last value was logged, in seconds since the epoch."""
        return max(self._recent.values(), default=0.0) / 1000

    def update(self) -> bool:
        """Ask for the state of the task, then for the events that are new."""
        with _as_unreadable(self._source.name):
            before = self._about
            if self._asked:
                asked = {"id": [self._about["id"]], "only_fields": list(_ABOUT)}
                self._about = (_sent("tasks", "get_all", asked)["tasks"] or [before])[0]
                if self._about == before:
                    return False
            new = list(self._events())
        for event in new:
            take(self._metrics, event, 0, self._skipped)
        latest = max(self._recent.values(), default=0.0)
        self._recent = {key: time for key, time in self._recent.items() if time >= latest - LATE_MS}
        changed = bool(new) or not self._asked or self._about["status"] != before["status"]
        self._asked = True
        return changed

    def _events(self) -> Iterator[dict[str, Any]]:
        """Yield the events that are not known: all of them, or the last ones."""
        known, latest = dict(self._recent), 1000 * self.latest
        asked = {
            "task": self._about["id"],
            "event_type": "training_stats_scalar",
            "batch_size": EVENTS_A_PAGE,
            "order": "desc" if known else "asc",
        }
        scroll, reached = None, False
        while not reached:
            answer = _sent("events", "get_task_events", {**asked, **({"scroll_id": scroll} if scroll else {})})
            for event in answer["events"]:
                key = tuple(event.get(part) for part in ("metric", "variant", "iter", "timestamp"))
                time = float(event.get("timestamp") or 0)
                reached = bool(known) and time < latest - LATE_MS
                if key not in known and not reached:
                    self._recent[key] = time
                    yield event
            scroll = answer.get("scroll_id")
            if not answer["events"] or not scroll:
                return

    def log(self) -> RawLog:
        """Return the run as the reader of offline sessions would."""
        status = _ENDS.get(self._about.get("status", ""), "")
        return log_of(self._about, self._source.name, self._metrics, self._skipped, status)


def _names(address: Address) -> list[str]:
    """Return the names of a project and perhaps a task."""
    names = [unquote(address.host), *address.parts]
    if not names[0] or len(names) > 2:
        raise UnreadableLog(
            f"{address.shown} names no project of ClearML",
            "write clearml://PROJECT, or …/TASK, and a slash in a name as %2F; the server is that of clearml.conf",
        )
    return names


def _exactly(text: str) -> str:
    """Return a pattern of the server for a text; its language knows other special marks than Python's."""
    return "".join(mark if mark.isalnum() or mark in " _-/" else f"\\{mark}" for mark in text)


def _fits(about: dict[str, Any], filters: Filters) -> bool:
    words = [word for state in filters.states for word in _STATES[state]]
    tags = set(about.get("tags") or ())
    begun = about.get("started") or about.get("created")
    time = datetime.fromisoformat(begun).timestamp() if begun else 0.0
    return (not words or about.get("status") in words) and filters.tagged(tags) and filters.in_time(time)


def _sent(service: str, action: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what the server answers to a question of its API."""
    answer: dict[str, Any] = getattr(getattr(_client(), service), action)(**asked)._result.response_data
    return answer


@cache
def _client() -> Any:
    """Return the client, which waits no longer than others for a server that fails."""
    try:
        from clearml.backend_api.session.client import APIClient, StrictSession
    except ImportError as error:
        raise UnreadableLog("reading runs of ClearML needs its package", "pip install clearml") from error
    session = StrictSession(worker="lmdiag", http_retries_config=dict(RETRIES))  # not the name of this machine
    return APIClient(session=session)


def _as_unreadable(shown: str) -> AbstractContextManager[None]:
    hint = "check the address, the network, and that clearml.conf or CLEARML_API_… name the server and the login"
    return client_asked("ClearML", shown, hint, "CLEARML_API_SECRET_KEY", "CLEARML_AUTH_TOKEN")
