"""Results of an earlier check, kept in the user's cache folder: a log that has not changed is not read again.

An entry is used only if it was written by this user on this machine: it is signed with a key that nobody else may read. One that is
damaged, of another version, or of a file that has changed since is ignored, and written again.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import os
import pickle
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from lmdiag.judging.judged import Judged, Judging
from lmdiag.judging.suppressions import header_suppressions
from lmdiag.sources.source import Source
from lmdiag.version import __version__

TIMES, CONTENT = "times", "content"
ENDS = 4096  # bytes of the head and of the tail of a file that are looked at beside its times
KEPT_DAYS = 30
_SIGNED = 32  # bytes of a SHA-256


def cache_folder() -> Path:
    """Return where this user's system keeps what may be lost."""
    import platformdirs

    return platformdirs.user_cache_path("lmdiag")


def problem_of(folder: Path) -> str:
    """Make the folder where it is missing, and return why it cannot be used; "" where only this user can have written to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError as error:
        return f"{folder} cannot be used: {error.strerror}"
    if not hasattr(os, "getuid"):
        return ""
    others = about.st_uid != os.getuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return f"others may write to {folder}: what they left there is not trusted" if others else ""


@dataclass(frozen=True)
class Remembered:
    """The results of a task for sources, in a folder; `how` is "times" or "content": what tells that a file has not changed.

    With "times", these are the size, times, inode, head and tail of each file that the reading opened; with "content", a hash of all of it.
    """

    task: Judging
    how: str
    folder: Path
    sources: Sequence[Source]

    def each(self, judged: Callable[[Judging, list[Source]], Iterator[Judged]]) -> Iterator[Judged]:
        """Yield the result for each source: a known one, else what `judged` makes of those that are left."""
        if problem_of(self.folder):
            yield from judged(self.task, list(self.sources))
            return
        self._forget_old()
        began = time.time_ns()
        states = [self._state(source) for source in self.sources]
        known = [self._found(source, state) for source, state in zip(self.sources, states)]
        left = [source for source, result in zip(self.sources, known) if result is None]
        coming = judged(replace(self.task, watched=True), left)
        for source, state, result in zip(self.sources, states, known):
            if result is None:
                result = next(coming)
                if state and not result.unreadable:  # what could not be read is tried again
                    self._keep(source, state, result, began)
            yield result

    @cached_property
    def _key(self) -> bytes:
        """The key of this user; none where it cannot be kept."""
        path = self.folder / "key"
        if path.exists() and len(key := path.read_bytes()) == _SIGNED:
            return key
        unfinished = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SIGNED))
        unfinished.replace(path)
        return path.read_bytes()

    @cached_property
    def _of_the_program(self) -> str:
        """What a result depends on beside its log: this program, its settings, and the folder that paths are relative to."""
        package = Path(__file__).parents[1]
        code = sorted((str(path), path.stat().st_mtime_ns) for path in package.rglob("*.py"))
        task = self.task
        accepted = (task.accepted.suppressions, sorted(task.accepted.known), task.accepted.file)
        asked = (task.settings, accepted, task.options, task.keep, task.compared, self.how)
        return repr((__version__, sys.version, code, os.getcwd(), asked))

    @cached_property
    def _logs_in(self) -> dict[Path, set[str]]:
        """The names of the logs in each folder: they say nothing of each other."""
        found: dict[Path, set[str]] = {}
        for path in (path for source in self.sources for path in _paths(source)):
            found.setdefault(path.parent, set()).add(path.name)
        return found

    def _entry(self, source: Source) -> Path:
        met = [part.met for part in source.parts]
        asked = (source.name, *map(str, _paths(source)), met, self.how, self.task.keep, self.task.compared)
        return self.folder / hashlib.sha256(repr(asked).encode()).hexdigest()

    def _state(self, source: Source) -> bytes:
        """Return a hash of the program, its settings, and the names of what lies in the folder; empty where files cannot tell."""
        paths = _paths(source)
        if not paths:
            return b""
        seen = hashlib.sha256(self._of_the_program.encode())
        try:
            for path in paths:
                names = _below(path) if path.is_dir() else self._beside(path.parent)
                seen.update(repr(names).encode())
        except OSError:
            return b""
        return seen.digest()

    def _beside(self, folder: Path) -> list[str]:
        """Return the names in a folder but for those of logs: a reader may look for settings there."""
        if folder not in self._folders:
            self._folders[folder] = self._others(folder)
        return self._folders[folder]

    def _others(self, folder: Path) -> list[str]:
        return sorted(set(os.listdir(folder)) - self._logs_in.get(folder, set()))

    @cached_property
    def _folders(self) -> dict[Path, list[str]]:
        return {}

    def _found(self, source: Source, state: bytes) -> Judged | None:
        if not state:
            return None
        path = self._entry(source)
        try:
            content = path.read_bytes()
            signature, rest = content[:_SIGNED], content[_SIGNED:]
            if not hmac.compare_digest(signature, self._signature(rest)) or rest[:_SIGNED] != state:
                return None
            day, files, result = pickle.loads(rest[_SIGNED:])  # signed by this user
            if day not in ("", _today()) or any(self._identity(file) != seen for file, seen in files.items()):
                return None
        except Exception:  # whatever is wrong with an entry, the log can be read again
            return None
        with suppress(OSError):
            os.utime(path)
        return result if isinstance(result, Judged) else None

    def _keep(self, source: Source, state: bytes, result: Judged, began: int) -> None:
        """Write an entry, unless a file was written to since the check began; where none can be written, the check goes on."""
        unfinished = self._entry(source).with_suffix(f".{os.getpid()}")
        try:
            names = {*map(str, _paths(source)), *result.read}
            if any(max(about.st_mtime_ns, about.st_ctime_ns) >= began for about in map(os.stat, names)):
                return
            own = (header_suppressions(diagnosis.run)[0] for diagnosis in result.diagnoses)
            ends = any(suppression.until for of_run in own for suppression in of_run)
            files = {name: self._identity(name) for name in names}
            content = state + pickle.dumps((_today() if ends else "", files, replace(result, read=())), protocol=5)
            unfinished.write_bytes(self._signature(content) + content)
            unfinished.replace(self._entry(source))
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _identity(self, name: str) -> bytes:
        """Return what tells that a file is still the same, of a folder the names in it."""
        path = Path(name)
        if path.is_dir():
            return repr(self._others(path)).encode()
        about = path.stat()
        with path.open("rb") as file:
            if self.how == CONTENT:
                return hashlib.file_digest(file, "sha256").digest()
            ends = file.read(ENDS)
            if about.st_size > 2 * ENDS:
                file.seek(-ENDS, os.SEEK_END)
            ends += file.read(ENDS)
        times = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
        return hashlib.sha256(repr((times, ends)).encode()).digest()

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")

    def _forget_old(self) -> None:
        oldest = time.time() - KEPT_DAYS * 86400
        try:
            for entry in os.scandir(self.folder):
                if entry.name != "key" and entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)
        except OSError:
            return


def _today() -> str:
    return datetime.date.today().isoformat()


def _paths(source: Source) -> list[Path]:
    """Return the files and folders of a source; none where one is not on this machine."""
    paths = [path for part in source.parts for path in (part.path, *part.later, *part.older)]
    local = all(part.content is None and not part.url for part in source.parts)
    return [Path(os.path.abspath(path)) for path in paths if path is not None] if local and None not in paths else []


def _below(folder: Path) -> list[str]:
    """Return the names of all that lies in a folder, also behind links."""
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder, followlinks=True) for name in names)
