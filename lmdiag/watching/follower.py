"""Follow a log that grows: only what was added is read, whatever happens to the file.

A log that is rotated, cut or written over goes on as the lines that follow: what `cat` of its parts would be. One that begins
with the same lines as before was only written anew.
"""

from __future__ import annotations

import os
import sys
from copy import deepcopy
from pathlib import Path

from lmdiag.gather import runs_in
from lmdiag.judging.reading import read_runs, runs_of
from lmdiag.readers import begin
from lmdiag.readers.growing import Growing
from lmdiag.readers.options import ReadOptions, mapped
from lmdiag.run import Run
from lmdiag.sources.decoding import UTF16, as_text, with_newlines
from lmdiag.sources.growing import Input, Pipe, Tail
from lmdiag.sources.source import Source

SMALL = 1 << 18  # bytes; so much is read as a whole each time, until it is certain what kind of log it is
SAME_START = 1024  # bytes by which a file is known again


class Follower:
    """The runs of a growing log: `poll` takes in what was added, `runs` tells what the log holds now.

    Logs whose lines can be read one by one are parsed once, however long they get; others are read anew by `runs`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> follower = Follower(str(path))
    >>> follower.poll()
    False
    >>> _ = path.write_text('{"step": 1, "loss": 2.5}\\n{"step": 2, "lo')
    >>> follower.poll(), follower.runs()[0]["loss"].values.tolist()
    (True, [2.5])
    """

    def __init__(self, path: str, options: ReadOptions | None = None, name: str = "") -> None:
        self.name = name or ("<stdin>" if path == "-" else path)
        self._options = options or ReadOptions()
        self._path = Path(path)
        self._input: Input = Pipe(sys.stdin.fileno()) if path == "-" else Tail(self._path)
        self._start = b""  # of the file that is read now
        self._lines = b""  # all whole lines, while the log is small
        self._torn = b""  # a line that is still being written
        self._closed = b""  # the same, once it is read as a line though its end is missing
        self._line_end = b"\r"  # until there is a line feed: progress bars may have none
        self._growing: Growing | None = None
        self._as_a_whole = False  # its format must be read from the file each time
        self._seen: object = None  # size and time of what is read as a whole

    @property
    def ended(self) -> bool:
        """Whether nothing can come any more."""
        return self._input.ended

    @property
    def changed(self) -> float:
        """When the log was last written to, in seconds since the epoch."""
        return self._input.changed

    @property
    def gone(self) -> bool:
        """Whether the log was there once, and is no more."""
        return bool(self._start or self._seen) and not os.path.exists(self._path)

    def poll(self) -> bool:
        """Take in what was added, and tell whether there was anything."""
        if os.path.isdir(self._path) or self._as_a_whole:
            return self._touched()
        grown = False
        for anew, block in self._input.news():
            if anew:
                self._begin_anew(block)
            self._start = (self._start + block)[:SAME_START]
            grown = self._take(block) or grown
        return grown

    def close_line(self) -> bool:
        """Read a last line without an end as a line until more of it comes, and tell whether there is one."""
        if not self._torn.strip() or self._closed:
            return False
        self._closed = self._torn
        return True

    def runs(self) -> list[Run]:
        """Return the runs that the log holds; raise UnreadableLog where there are none."""
        if os.path.isdir(self._path):
            runs, problems = read_runs([self._path], self._options)
            if not runs and problems:
                raise problems[0][1]
            return runs
        if self._as_a_whole:
            return runs_of(Source(self.name, path=self._path), self._options)
        if self._growing is None:
            return self._runs_of_a_small_log()
        growing = self._growing
        if last := self._last_line:
            growing = deepcopy(growing)  # the line itself is fed when the rest of it has come
            growing.feed(as_text(last + b"\n"))
        return runs_in((mapped(raw, self._options.mapping) for raw in growing.logs()), self.name)

    @property
    def _last_line(self) -> bytes:
        """What is read of a line without an end."""
        return self._torn if self.ended else self._closed

    def _touched(self) -> bool:
        """Tell whether any file below the path has changed."""
        files = [p for p in self._path.rglob("*") if p.is_file()] if os.path.isdir(self._path) else [self._path]
        now = [state for path in files if (state := _state(path))]
        touched = bool(now) and now != self._seen
        self._seen = now or self._seen
        return touched

    def _runs_of_a_small_log(self) -> list[Run]:
        source = Source(self.name, content=self._lines + self._last_line)
        if os.path.isfile(self._path) and source.head.strip() and not self._grows(source):
            self._as_a_whole = True
            return self.runs()
        return runs_of(source, self._options)

    def _grows(self, source: Source) -> bool:
        plain = not source.packed and self._lines[:2] not in UTF16 and not source.guessed_encoding[0]
        return plain and begin(source, self._options) is not None

    def _begin_anew(self, block: bytes) -> None:
        """Go on with a file that began anew, or forget what was read if it only repeats it."""
        if self._start and block.startswith(self._start):
            self._lines, self._growing = b"", None
        elif self._torn and (self._lines or self._growing is not None):
            self._take(b"\n")  # so that the torn line is counted; one that was all there was is a document written anew
        self._start = self._torn = b""
        self._line_end = b"\r"

    def _take(self, block: bytes) -> bool:
        """Take in bytes, and tell whether a line became whole."""
        if b"\n" in block:
            self._line_end = b"\n"
        whole, end, self._torn = (self._torn + block).rpartition(self._line_end)
        self._closed = b""
        whole += end
        if not whole:
            return False
        if self._growing is not None:
            self._growing.feed(as_text(with_newlines(whole)))
            return True
        self._lines += whole
        if len(self._lines) >= SMALL:
            self._decide()
        return True

    def _decide(self) -> None:
        """Choose, by what is there of it, how to read a log that has become large."""
        source = Source(self.name, content=self._lines)
        self._growing = begin(source, self._options) if self._grows(source) else None
        self._as_a_whole = self._growing is None and os.path.isfile(self._path)
        if self._growing is not None:
            self._growing.feed(as_text(source.utf8))
        if self._growing is not None or self._as_a_whole:
            self._lines = b""


def _state(path: Path) -> tuple[str, int, int] | None:
    """Return what tells whether a file has changed, None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_size, found.st_mtime_ns
