"""Follow a run on the server of a tracker: only what is new is asked for."""

from __future__ import annotations

import time

from lmdiag.errors import UnreadableLog
from lmdiag.gather import runs_in
from lmdiag.readers.options import ReadOptions, mapped
from lmdiag.run import Run
from lmdiag.sources.source import Source
from lmdiag.trackers import asked, begin, refuse_ways_of_files


class TrackedFollower:
    """The run of a source that a tracker listed; the server is asked once in `every_s` seconds.

    A server that does not answer is asked again: the run goes on without it.
    """

    gone = False

    def __init__(self, source: Source, options: ReadOptions, every_s: float) -> None:
        refuse_ways_of_files(source, options)
        self.name = source.name
        self._options, self._every_s = options, every_s
        self._history = begin(source)
        self._asked: float | None = None
        self._changed = 0.0
        self._trouble: UnreadableLog | None = None

    @property
    def ended(self) -> bool:
        """Whether the server says that the run is over; one that failed may be resumed, but then its state says so."""
        return self._history.ended and self._trouble is None

    @property
    def changed(self) -> float:
        """When the last value came: while it was followed, else when it was logged."""
        return self._changed or self._history.latest or time.time()

    def poll(self) -> bool:
        """Ask for what is new where it is time, and tell whether there is anything, be it trouble."""
        if self._asked is not None and time.monotonic() - self._asked < self._every_s:
            return False
        first = self._asked is None
        try:
            with asked(self.name):
                new = self._history.update()
        except UnreadableLog as trouble:
            self._trouble = trouble
            return True
        finally:
            self._asked = time.monotonic()
        new = new or self._trouble is not None
        self._trouble = None
        if new and not first:
            self._changed = time.time()
        return new

    def close_line(self) -> bool:
        """A server has no lines."""
        return False

    def runs(self) -> list[Run]:
        """Return the run as far as it was asked for."""
        if self._trouble is not None:
            raise self._trouble
        return runs_in([mapped(self._history.log(), self._options.mapping)], self.name)
