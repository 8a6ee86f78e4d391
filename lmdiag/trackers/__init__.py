"""Runs on the servers of trackers: addresses -> sources, one for each run, and what the server says of a run -> RawLog.

Each tracker is one file with two functions: `listed(address)` yields the runs that an address names, and `begin(source)`
returns a `History`, which asks for the values of one of them. A third, `publish(address, said)`, writes to a run. Values are asked for in full, never as a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Protocol

from lmdiag.errors import UnreadableLog, explained
from lmdiag.readers.options import ReadOptions, mapped
from lmdiag.readers.rawlog import RawLog
from lmdiag.sources.addresses import TRACKERS
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, parsed


class History(Protocol):
    """The values of one run, as far as they were asked for."""

    @property
    def latest(self) -> float:
        """When the last of them was logged, in seconds since the epoch; 0 where that is not known."""

    @property
    def ended(self) -> bool:
        """Whether the server said that the run is over, before it was last asked for values."""

    def update(self) -> bool:
        """Ask the server for what is new, and tell whether anything is."""

    def log(self) -> RawLog:
        """Return the run as far as it was asked for."""


def runs_at(address: str) -> Iterator[Source]:
    """Yield a source for each run that an address names, newest first; raise UnreadableLog where there is none.

    The source holds what the list of the server said of the run, so that it is not asked for again.
    """
    where = parsed(address)
    found = False
    with asked(where.shown):
        for source in islice(_tracker(where.scheme).listed(where), where.filters.limit):
            found = True
            yield source
    if not found:
        which = "that fit the filters" if where.filters.any else "there"
        raise UnreadableLog(f"{where.shown} has no runs {which}", "check the address with the tracker's own page")


def begin(source: Source) -> History:
    """Return the history of a run, of which nothing was asked for yet."""
    history: History = _tracker(source.url.partition("://")[0]).begin(source)
    return history


def read(source: Source, options: ReadOptions) -> list[RawLog]:
    """Ask for all values of a run."""
    refuse_ways_of_files(source, options)
    with asked(source.name):
        history = begin(source)
        history.update()
        return [mapped(history.log(), options.mapping)]


def asked(shown: str) -> AbstractContextManager[None]:
    """Turn what goes wrong with answers that nobody foresaw into an error a user can act on."""

    def explain(error: Exception) -> UnreadableLog:
        what = f"{shown}: the answer is not one of such a server ({type(error).__name__})"
        return UnreadableLog(what, "check the address; if the tracker's own page shows the run, please report this")

    return explained(explain)


def publish(address: str, said: Mapping[str, str]) -> None:
    """Write named texts to the run at an address; raise UnreadableLog where its server does not take them."""
    where = parsed(address)
    tracker = _tracker(where.scheme)
    if not hasattr(tracker, "publish"):
        raise UnreadableLog(f"{where.scheme} takes no summaries", "see docs/trackers.md")
    tracker.publish(where, said)


def refuse_ways_of_files(source: Source, options: ReadOptions) -> None:
    """Raise UnreadableLog where a file's format is given for what a server says."""
    if options.reader or options.pattern:
        hint = "leave them out; --map tells which metric of a run on a server is which"
        raise UnreadableLog(f"{source.name}: --reader and --pattern are for files", hint)


def _tracker(scheme: str) -> ModuleType:
    return import_module(f"lmdiag.trackers.{TRACKERS[scheme.lower()]}")


__all__ = ["Address", "History", "asked", "begin", "publish", "read", "runs_at"]
