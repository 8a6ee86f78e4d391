"""Runs on a server of SwanLab, by its own client: `swanlab://USER/PROJECT[/RUN]`; login and server are those of the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from functools import cache
from io import StringIO
from typing import Any

from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.swanlab import FORMAT, stated
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, Filters, parsed
from lmdiag.trackers.service import client_asked

KEYS_AT_ONCE = 16  # that the client asks for with one question
_STATES = {"RUNNING": "running", "FINISHED": "finished", "CRASHED": "failed", "ABORTED": "killed"}
_ENDS = {"FINISHED": "FINISHED", "CRASHED": "FAILED", "ABORTED": "KILLED"}


def listed(address: Address) -> Iterator[Source]:
    """Yield the runs of a project, newest first, or the one that is named by id or by name."""
    if not address.host or len(address.parts) not in (1, 2):
        raise UnreadableLog(
            f"{address.shown} names no project of SwanLab", "write swanlab://USER/PROJECT, or …/PROJECT/RUN"
        )
    project, *run = address.parts
    with _asking(address.shown):
        runs = _api().runs_get(f"{address.host}/{project}", all=True)
        found = _whole(runs, list(runs))
        found.sort(key=lambda one: _time(one.created_at), reverse=True)
    for one in found:
        if _fits(one, address.filters) and (not run or run[0] in (one.run_id, one.name)):
            where = address.below(project, one.run_id)
            yield Source(where, content=b"", url=where, met=run != [one.run_id])


def begin(source: Source) -> SwanlabHistory:
    """Return the history of a run that `listed` found."""
    return SwanlabHistory(source)


class SwanlabHistory:
    """All values of one run: the server gives metrics as a whole, and tells the last ones by themselves."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._run: Any = None
        self._last: Any = None
        self._metrics: dict[str, list[tuple[float, float, int]]] = {}
        self._lost: list[str] = []

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._run is not None and self._run.state in _ENDS

    @property
    def latest(self) -> float:
        """When the last value was logged, in seconds since the epoch."""
        return max((time for values in self._metrics.values() for time, _, _ in values), default=0.0) / 1000

    def update(self) -> bool:
        """Ask for the state and the last values, and where these are other ones than before, for all values."""
        where = parsed(self._source.url)
        with _asking(self._source.name):
            run = _api().run("/".join((where.host, *where.parts)))
            last = _whole(run, run.state), run.summary()
            if self._run is not None and last == self._last:
                return False
            series = run.series()
            keys = [key.key for key in _whole(series, list(series))]
            self._metrics = dict(_values(run, keys))
            self._run, self._last = run, last
        self._lost = [key for key in keys if not self._metrics.get(key)]
        if keys and self._lost == keys:
            raise UnreadableLog(
                f"{self._source.name}: SwanLab's client gave no values of {len(keys)} metrics", "try again later"
            )
        return True

    def log(self) -> RawLog:
        """Return the run as the reader of SwanLab's files would."""
        with _asking(self._source.name):
            settings = stated(self._run.profile.get("config") or {})
            name = self._run.name or self._run.run_id
        log = tracked_run(FORMAT, name, self._source.name, self._metrics, settings, _ENDS.get(self._run.state))
        notes = (f"The client gave no values of {', '.join(self._lost)}.",) if self._lost else ()
        return replace(log, notes=(*log.notes, *notes))


def _values(run: Any, keys: list[str]) -> Iterator[tuple[str, list[tuple[float, float, int]]]]:
    """Yield each metric with the (time in ms, value, step) of its values."""
    for start in range(0, len(keys), KEYS_AT_ONCE):
        for metric in run.metrics(keys=keys[start : start + KEYS_AT_ONCE], all=True)["list"]:
            points = metric.get("metrics") or ()
            yield metric["key"], [(float(p.get("timestamp") or 0), float(p["value"]), int(p["step"])) for p in points]


def _whole(asked: Any, answer: Any) -> Any:
    """Return an answer; raise where the client could not get all of it, which it notes and does not say."""
    outcome = asked.wrapper()
    if not outcome.ok:
        raise ConnectionError(outcome.errmsg)
    return answer


def _fits(run: Any, filters: Filters) -> bool:
    tags = {str(label.get("name")) for label in run.labels} if filters.tags else set()
    return (
        (not filters.states or _STATES.get(run.state) in filters.states)
        and filters.tagged(tags)
        and filters.in_time(_time(run.created_at))
    )


def _time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@cache
def _api() -> Any:
    try:
        from swanlab import Api
    except ImportError as error:
        raise UnreadableLog("reading runs of SwanLab needs its package", "pip install swanlab") from error
    return Api()


@contextmanager
def _asking(shown: str) -> Iterator[None]:
    """Let the client print nothing, and explain its errors."""
    hint = "check the address, the network, and that `swanlab login` or SWANLAB_API_KEY may see the project"
    with (
        client_asked("SwanLab", shown, hint, "SWANLAB_API_KEY"),
        redirect_stdout(StringIO()),
        redirect_stderr(StringIO()),
    ):
        yield
