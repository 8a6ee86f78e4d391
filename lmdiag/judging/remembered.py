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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lmdiag.judging.judged import Judged, Judging
from lmdiag.judging.suppressions import header_suppressions
from lmdiag.sources.source import Source
from lmdiag.version import __version__

TIMES, CONTENT = "times", "content"
ENDS = 4096  # bytes of the head and of the tail of a file that are looked at beside its times
FEW = 50  # files of a folder that all count for each log in it: stores keep settings beside their values
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

    With "times", these are its path, size, times and inode and a hash of its head and tail; with "content", a hash of all of it.
    """

    task: Judging
    how: str
    folder: Path
    sources: Sequence[Source]

    def each(self, judged: Callable[[list[Source]], Iterator[Judged]]) -> Iterator[Judged]:
        """Yield the result for each source: a known one, else what `judged` makes of those that are left."""
        if problem_of(self.folder):
            yield from judged(list(self.sources))
            return
        self._forget_old()
        states = [self._state(source) for source in self.sources]
        known = [self._found(source, state) for source, state in zip(self.sources, states)]
        coming = judged([source for source, result in zip(self.sources, known) if result is None])
        for source, state, result in zip(self.sources, states, known):
            if result is None:
                result = next(coming)
                if state and state == self._state(source):  # nobody wrote to it while it was read
                    self._keep(source, state, result)
            yield result

    @cached_property
    def _key(self) -> bytes:
        path = self.folder / "key"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return path.read_bytes()
        with os.fdopen(descriptor, "wb") as file:
            file.write(key := secrets.token_bytes(_SIGNED))
        return key

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
    def _named(self) -> frozenset[Path]:
        return frozenset(path for source in self.sources for path in _paths(source))

    def _entry(self, source: Source) -> Path:
        asked = (source.name, *map(str, _paths(source)), self.how, self.task.keep, self.task.compared)
        return self.folder / hashlib.sha256(repr(asked).encode()).hexdigest()

    def _state(self, source: Source) -> bytes:
        """Return a hash of all that the result for a source depends on; empty where files cannot tell it."""
        paths = _paths(source)
        if not paths:
            return b""
        seen = hashlib.sha256(self._of_the_program.encode())
        try:
            for path in self._files(paths):
                seen.update(_identity(path, whole=self.how == CONTENT))
        except OSError:
            return b""
        return seen.digest()

    def _files(self, paths: Iterable[Path]) -> list[Path]:
        """Return the files that may say something about a run: its own, and those beside it.

        In a folder of many files, those that are logs for themselves say nothing of each other.
        """
        found: set[Path] = set()
        for path in paths:
            if path.is_dir():
                found.update(below for below in path.rglob("*") if below.is_file())
            else:
                found.update((path, *self._beside(path.parent)))
        return sorted(found)

    def _beside(self, folder: Path) -> list[Path]:
        if folder not in self._folders:
            files = [file for file in folder.iterdir() if file.is_file()]
            self._folders[folder] = files if len(files) <= FEW else [f for f in files if f not in self._named]
        return self._folders[folder]

    @cached_property
    def _folders(self) -> dict[Path, list[Path]]:
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
            day, result = pickle.loads(rest[_SIGNED:])  # signed by this user
            os.utime(path)
        except Exception:  # whatever is wrong with an entry, the log can be read again
            return None
        return result if day in ("", _today()) and isinstance(result, Judged) else None

    def _keep(self, source: Source, state: bytes, result: Judged) -> None:
        """Write an entry; one that cannot be written is no reason to stop. A source that could not be read is tried again."""
        if result.unreadable:
            return
        own = (header_suppressions(diagnosis.run)[0] for diagnosis in result.diagnoses)
        ends = any(suppression.until for of_run in own for suppression in of_run)
        content = state + pickle.dumps((_today() if ends else "", result), protocol=5)
        path = self._entry(source)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            unfinished.write_bytes(self._signature(content) + content)
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)

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
    paths = [path for part in source.parts for path in (part.path, *part.later)]
    local = all(part.content is None and not part.url for part in source.parts)
    return [path for path in paths if path is not None] if local and None not in paths else []


def _identity(path: Path, whole: bool) -> bytes:
    """Return what tells that a file is still the same."""
    about = path.stat()
    with path.open("rb") as file:
        if whole:
            return repr((str(path), hashlib.file_digest(file, "sha256").digest())).encode()
        ends = file.read(ENDS)
        if about.st_size > 2 * ENDS:
            file.seek(-ENDS, os.SEEK_END)
        ends += file.read(ENDS)
    return repr((str(path), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, ends)).encode()
