"""Runs on a server of Comet, by its own client: `comet://WORKSPACE/PROJECT[/EXPERIMENT]`; login and server are those of the client."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.comet import FORMAT, Found, points, take_metric
from lmdiag.readers.trackers.metrics import logged_run
from lmdiag.run import Skipped
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, Filters, parsed
from lmdiag.trackers.service import client_asked

RUNS_A_PAGE = 200
MOST_VALUES = 15_000  # of a metric that the server keeps: of more, it keeps a sample
SETTINGS = {"ERROR_TRACKING_ENABLE": "0", "DISABLE_AUTO_LOGGING": "1", "HTTP_SESSION_RETRY_TOTAL": "3"}
_STATES = {"running": "running", "finished": "finished", "crashed": "failed"}
_ENDS = {"finished": "FINISHED", "crashed": "FAILED"}


def listed(address: Address) -> Iterator[Source]:
    """Yield the experiments of a project, newest first, or the one that is named by key or by name."""
    if not address.host or len(address.parts) not in (1, 2):
        raise UnreadableLog(
            f"{address.shown} names no project of Comet", "write comet://WORKSPACE/PROJECT, or …/PROJECT/EXPERIMENT"
        )
    project, *run = address.parts
    with _as_unreadable(address.shown):
        for page in range(1, 1 << 30):
            found = _api().get_experiments(
                address.host, project, page=page, page_size=RUNS_A_PAGE, sort_by="startTime", sort_order="desc"
            )
            for one in found:
                if (not run or run[0] in (one.id, one.name)) and _fits(one, address.filters):
                    where = address.below(project, one.id)
                    yield Source(where, content=b"", url=where, met=run != [one.id])
            if len(found) < RUNS_A_PAGE:
                return


def begin(source: Source) -> CometHistory:
    """Return the history of an experiment that `listed` found."""
    return CometHistory(source)


class CometHistory:
    """All values of one experiment: the server gives them as a whole, and tells the last ones by themselves."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._experiment: Any = None
        self._state = ""
        self._last: Any = None
        self._values: list[dict[str, Any]] = []

    @property
    def ended(self) -> bool:
        """Whether the experiment is over."""
        return self._state in _ENDS

    @property
    def latest(self) -> float:
        """When the last value was logged, in seconds since the epoch."""
        return max((float(value["timestamp"]) for value in self._values), default=0.0) / 1000

    def update(self) -> bool:
        """Ask for the state and the last values, and where these are other ones than before, for all values."""
        with _as_unreadable(self._source.name):
            where = parsed(self._source.url)
            self._experiment = self._experiment or _api().get_experiment_by_key(where.parts[-1])
            if self._experiment is None:
                raise UnreadableLog(f"{self._source.name} is not there any more", "look for it on the page of Comet")
            before = self._last, self._state
            self._state = self._experiment.get_state()
            self._last = self._experiment.get_metrics_summary()
            if self._last != before[0]:
                self._values = sorted(self._experiment.get_metrics() or [], key=lambda value: value["timestamp"])
            return before != (self._last, self._state)

    def log(self) -> RawLog:
        """Return the experiment as the reader of offline archives would."""
        found, skipped = Found(), list[Skipped]()
        counts: dict[str, int] = {}
        for value in self._values:
            try:
                take_metric(value, float(value["timestamp"]), found)
                counts[value["metricName"]] = counts.get(value["metricName"], 0) + 1
            except (ValueError, TypeError, KeyError, OverflowError):
                skipped.append(Skipped(0, f"no value of a metric: {str(value)[:40]!r}"))
        with _as_unreadable(self._source.name):
            settings = {one["name"]: one["valueCurrent"] for one in self._experiment.get_parameters_summary() or ()}
            name = self._experiment.name or self._experiment.id
        log = logged_run(FORMAT, name, self._source.name, points(found, [0]), settings, _ENDS.get(self._state), skipped)
        full = [metric for metric, count in counts.items() if count >= MOST_VALUES]
        notes = (
            (f"Comet keeps a sample of {MOST_VALUES:,} values of a metric, and {full[0]} has so many.",) if full else ()
        )
        return replace(log, notes=(*log.notes, *notes))


def _fits(experiment: Any, filters: Filters) -> bool:
    begun = (experiment.start_server_timestamp or 0) / 1000
    if not filters.in_time(begun):
        return False
    if filters.states and _STATES.get(experiment.get_state()) not in filters.states:
        return False
    tags = set(experiment.get_tags() or ()) if filters.tags else set()
    return filters.tagged(tags)


@cache
def _api() -> Any:
    """Return the client, which tells nobody of its errors and waits no longer than others for a server that fails."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(f"COMET_{name}", value)
    try:
        from comet_ml.api import API
    except ImportError as error:
        raise UnreadableLog("reading runs of Comet needs its package", "pip install comet_ml") from error
    logging.getLogger("comet_ml").setLevel(logging.CRITICAL)
    return API(cache=False)


def _as_unreadable(shown: str) -> AbstractContextManager[None]:
    hint = "check the address, the network, and that COMET_API_KEY or .comet.config may see the project"
    return client_asked("Comet", shown, hint, "COMET_API_KEY")
