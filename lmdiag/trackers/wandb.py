"""Runs on a server of Weights & Biases, by its own client: `wandb://ENTITY/PROJECT[/RUN]`; the login and the server are those of the client."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.trackers.names import history_conventions
from lmdiag.readers.wandb.run_folder import FORMAT, scalar, unwrapped
from lmdiag.run import Event
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, Filters, parsed
from lmdiag.trackers.service import client_asked

RUNS_A_PAGE, ROWS_A_PAGE = 200, 1000
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S, TIMEOUT_S = 4, 0.5, 4.0, 60
TAG = "lmdiag:"
_STATES = {"running": ["running"], "finished": ["finished"], "failed": ["failed", "crashed"], "killed": ["killed"]}
_ENDS = {"finished": "completed", "failed": "crashed", "crashed": "crashed", "killed": "killed"}


def listed(address: Address) -> Iterator[Source]:
    """Yield the runs of a project, newest first, or the one that is named by id or by name."""
    if len(address.parts) not in (1, 2):
        raise UnreadableLog(
            f"{address.shown} names no project of W&B", "write wandb://ENTITY/PROJECT, or …/PROJECT/RUN"
        )
    project, *run = address.parts
    with _as_unreadable(address.shown):
        named = [{"$or": [{"name": run[0]}, {"display_name": run[0]}]}] if run else []  # its id is called `name`
        runs = _api().runs(
            f"{address.host}/{project}",
            filters={"$and": [*named, *_conditions(address.filters)]},
            order="-created_at",
            per_page=min(address.filters.limit or RUNS_A_PAGE, RUNS_A_PAGE),
        )
        for found in runs:
            yield replace(_source(address, project, found.id), met=run != [found.id])


def begin(source: Source) -> WandbHistory:
    """Return the history of a run that `listed` found."""
    return WandbHistory(source)


def publish(address: Address, said: Mapping[str, str]) -> None:
    """Set a tag with the verdict, and the texts as values of the summary, of a run that is over.

    The client writes tags, config and summary as a whole: what a run at work logs meanwhile would be lost.
    """
    with _as_unreadable(address.shown):
        run = _api().run("/".join((address.host, *address.parts)))
        if run.state not in _ENDS:
            raise UnreadableLog(
                "the run is at work, and what it logs meanwhile would be lost", "publish when it is over"
            )
        run.tags = [*(tag for tag in run.tags if not tag.startswith(TAG)), TAG + said["lmdiag.verdict"]]
        for name, text in said.items():
            run.summary[name.replace(".", "/")] = text
        run.update()


class WandbHistory:
    """The rows of one run: one for each `log` call."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows = Rows()
        self._run: Any = None
        self._next_step = 0
        self._last_time = 0.0

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._run is not None and self._run.state in _ENDS

    @property
    def latest(self) -> float:
        """When the last row was logged, in seconds since the epoch."""
        return self._last_time

    def update(self) -> bool:
        """Ask for the state of the run, then for the rows that are new."""
        with _as_unreadable(self._source.name):
            before = self._run and self._run.state
            if self._run is None:
                where = parsed(self._source.url)
                self._run = _api().run("/".join((where.host, *where.parts)))
            else:
                self._run.load(force=True)
            length = len(self._rows)
            for row in self._run.scan_history(page_size=self._page(), min_step=self._next_step, use_cache=False):
                self._take(row)
            return len(self._rows) > length or self._run.state != before

    def _page(self) -> int:
        """Return how many steps to ask for at once: the client asks for ranges of them, and some runs count tokens."""
        last, rows = self._run.lastHistoryStep, getattr(self._run, "historyLineCount", None) or 0
        return ROWS_A_PAGE * max(1, (last + 1) // rows) if rows else ROWS_A_PAGE

    def _take(self, row: dict[str, Any]) -> None:
        flat = dict(_flat(row))
        self._rows.add({key: scalar(value) for key, value in flat.items()})
        self._next_step = max(self._next_step, int(row.get("_step", 0)) + 1)
        self._last_time = max(self._last_time, float(row.get("_timestamp") or 0))

    def log(self) -> RawLog:
        """Return the run as the reader of W&B's files would."""
        run = self._run
        ended = _ENDS.get(run.state)
        rows = getattr(run, "historyLineCount", None) or 0
        notes = () if self._rows else ("The run logged no history: it ended before its first `log` call.",)
        if ended and len(self._rows) < rows:
            notes = (*notes, f"The server counts {rows:,} rows of this run, and gave {len(self._rows):,}.")
        log = self._rows.log(
            FORMAT,
            run.name or run.id,
            source=self._source.name,
            config={"run_id": run.id},
            settings=unwrapped(run.config),
            events=(Event("end", message=f"state {run.state}", fields={"status": ended}),) if ended else (),
            notes=notes,
        )
        return history_conventions(log)


def _flat(row: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a row; nested names are joined with a dot, as the files have them."""
    for key, value in row.items():
        if isinstance(value, dict) and "_type" not in value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _source(address: Address, project: str, run_id: str) -> Source:
    where = address.below(project, run_id)
    return Source(where, content=b"", url=where, met=True)


def _conditions(filters: Filters) -> list[dict[str, Any]]:
    """Return the filters in the language of the server; its tags are words without values."""
    found: list[dict[str, Any]] = [{"tags": f"{key}={value}" if value else key} for key, value in filters.tags]
    if filters.states:
        found.append({"state": {"$in": [word for state in filters.states for word in _STATES[state]]}})
    for limit, word in ((filters.since, "$gte"), (filters.until, "$lte")):
        if limit is not None:
            found.append({"created_at": {word: datetime.fromtimestamp(limit, UTC).isoformat()}})
    return found


@cache
def _api() -> Any:
    """Return the client, which asks for no login and tells nobody of its errors."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        import wandb
    except ImportError as error:
        raise UnreadableLog("reading runs of W&B needs its package", "pip install wandb") from error
    logging.getLogger("wandb").addHandler(logging.NullHandler())
    settings = wandb.Settings(
        silent=True,
        x_graphql_retry_max=TRIES - 1,
        x_graphql_retry_wait_min_seconds=FIRST_WAIT_S,
        x_graphql_retry_wait_max_seconds=LONGEST_WAIT_S,
    )
    wandb.setup(settings)
    with _nobody_asked():
        return wandb.Api(timeout=TIMEOUT_S)


@contextmanager
def _nobody_asked() -> Iterator[None]:
    """Let the client meet no terminal: without a login, it would ask for one."""
    terminal = sys.stdin
    with open(os.devnull, encoding="utf-8") as nobody:
        sys.stdin = nobody
        try:
            yield
        finally:
            sys.stdin = terminal


def _as_unreadable(shown: str) -> AbstractContextManager[None]:
    hint = "check the address, the network, and that your login may see the project"
    return client_asked("W&B", shown, hint, "WANDB_API_KEY")
