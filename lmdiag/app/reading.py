"""One source -> its judged runs, read once and kept by version: files of the server for all sessions, and the settings that hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import streamlit as st

from lmdiag.config import Settings, load
from lmdiag.errors import LmdiagError
from lmdiag.fleet import each, worthwhile_jobs
from lmdiag.judging.baseline import accepted_by
from lmdiag.judging.judged import Judged, Judging, internal_error, unreadable
from lmdiag.judging.policy import check_settings
from lmdiag.readers.options import ReadOptions
from lmdiag.reports.left_out import Unreadable
from lmdiag.sources.source import Source
from lmdiag.task_measures import progress

MOST_LOGS_KEPT = 1024

States = tuple[tuple[str, int, int], ...]  # of the files of a log: path, size and time of the last change


@dataclass(frozen=True, eq=False)
class Log:
    """One source that was opened: its key (content or file identity), its name, and its judged runs.

    Logs of one `group`, a folder, may hold the same run; files `beside` its own were read with it. `source` is that of a log that
    is no file of this machine, kept where nobody recognised its loss, so that it can be read again, and where a tracker tells of it.
    """

    key: str
    name: str
    judged: Judged = field(default_factory=Judged)
    path: Path | None = None
    group: str = ""
    beside: tuple[Source, ...] = ()
    states: States = ()
    source: Source | None = None

    @property
    def again(self) -> Source | None:
        """What to read where the log is read again, None of a log that was understood and is not kept."""
        return Source(self.name, path=self.path, beside=self.beside).fresh() if self.path else self.source

    @property
    def grows(self) -> bool:
        """Whether it may be followed: as a file of the server, or as a run on that of a tracker."""
        return self.path is not None or (self.source is not None and self.source.tracked)

    @property
    def without_loss(self) -> bool:
        """Whether the log could not be read, or nothing in it was taken for a loss or a reward."""
        return not any(progress(diagnosis.run) for diagnosis in self.judged.diagnoses)

    @property
    def files(self) -> list[Path]:
        """The files of the server that it was read from; none of an upload."""
        return [self.path, *(part.path for part in self.beside if part.path is not None)] if self.path else []

    @property
    def problem(self) -> Unreadable | None:
        """Why the log could not be read, None where it could."""
        return next(iter(self.judged.unreadable), None)


def read_log(key: str, source: Source, settings: Settings) -> Log:
    """Read and judge every run of a source; what goes wrong becomes a message, never a traceback."""
    try:
        judged = Judging(settings, accepted_by(settings), read_as(key), compared=True)(replace(source, met=False))
    except LmdiagError as error:
        judged = Judged(unreadable=(unreadable(source.name, error),))
    except Exception as error:  # a defect of ours must not show a traceback, nor keep the other logs from being seen
        judged = Judged(unreadable=(internal_error(source.name, error),))
    log = Log(key, source.name, judged)
    return replace(log, source=source) if log.without_loss or source.tracked else log


def read_as(key: str) -> ReadOptions:
    """Return how the reader said that a log is to be read."""
    said: dict[str, ReadOptions] = st.session_state.setdefault("read_as", {})
    return said.get(key, ReadOptions())


def project_settings() -> Settings:
    """Return the settings of the project that the app was started in, read once for each time that the page is drawn."""
    if "settings" not in st.session_state:
        st.session_state["settings"] = _settings_read()
    found: Settings = st.session_state["settings"]
    return found


def forget_settings() -> None:
    """Read the settings anew when they are asked for again."""
    st.session_state.pop("settings", None)


def _settings_read() -> Settings:
    """Return the settings; invalid ones are reported once, then ignored."""
    try:
        settings = load(Path.cwd())
        check_settings(settings)
        accepted_by(settings)
    except LmdiagError as error:
        if "settings_said" not in st.session_state:
            st.session_state["settings_said"] = True
            st.session_state.setdefault("logs", {})["settings"] = Log(
                "settings", "", Judged(unreadable=(Unreadable("", error.message, error.hint),))
            )
        return Settings()
    return settings


def read_together(sources: Sequence[Source]) -> dict[str, Log]:
    """Return many logs, read in several processes where that pays, {name: log}; what is left out is to be read one by one."""
    files = [(source, _placed(source.path, source)) for source in sources if source.path and is_file(source)]
    new = [source for source, place in files if _in_memory(place) is None]
    jobs = worthwhile_jobs(new)
    if jobs < 2:
        return {}
    settings = project_settings()
    task = Judging(settings, accepted_by(settings), ReadOptions(), compared=True)
    read: dict[str, Log] = {}
    place_of_bar = st.empty()
    with place_of_bar, suppress(LmdiagError):  # what stops one of them is said when it is read alone
        for judged, source in zip(each(task, new, task.lost, jobs), new):
            assert source.path is not None
            place = _placed(source.path, source)
            read[source.name] = _kept_as(place, judged, states_of(place))
            if len(read) % jobs == 0:
                st.progress(len(read) / len(new), f"Reading {len(new):,} logs …")
    place_of_bar.empty()
    return read


def is_file(source: Source) -> bool:
    """Whether a source is one file of the server."""
    return source.path is not None and not source.is_folder


def read_file(path: Path, name: str = "", beside: tuple[Source, ...] = ()) -> Log:
    """Read a file of the server and those beside it, or take it from memory if all are unchanged; its key stays while it grows."""
    place = _placed(path, Source(name or path.name, path, beside=beside))
    if (known := _in_memory(place)) is not None:
        return known
    states = states_of(place)
    with st.spinner("Reading the log …"):
        read = read_log(place.key, Source(place.name, path=path, beside=beside).fresh(), project_settings())
    return _kept_as(place, read.judged, states)


def _placed(path: Path, source: Source) -> Log:
    """Return the log of a file before it is read."""
    key = hashlib.blake2b(str(path).encode(), digest_size=12).hexdigest()
    return Log(key, source.name, path=path, beside=source.beside)


def _in_memory(place: Log) -> Log | None:
    """Return the log as it was read last if neither its files nor the way to read them have changed since, else None."""
    kept = _kept().get(place.key)
    return kept[1] if kept is not None and kept[0] == _version(place, states_of(place)) else None


def _version(place: Log, states: States) -> object:
    return states, place.name, repr(project_settings()), read_as(place.key)


def _kept_as(place: Log, judged: Judged, states: States) -> Log:
    """Return the log with its runs, and keep it in memory."""
    log = replace(place, judged=judged, states=states)
    _kept().pop(place.key, None)
    _kept()[place.key] = _version(place, states), log
    while len(_kept()) > MOST_LOGS_KEPT:
        _kept().pop(next(iter(_kept())))
    return log


@st.cache_resource
def _kept() -> dict[str, tuple[object, Log]]:
    """Return the files of the server that were read, for all sessions: the last version of each, the oldest first."""
    return {}


def forget(key: str) -> None:
    """Keep a log in memory no longer: whoever follows it has a newer version."""
    _kept().pop(key, None)


def states_of(log: Log) -> States:
    """Return what tells whether the files of a log have changed."""
    found = []
    for path in log.files:
        with suppress(OSError):
            state = path.stat()
            found.append((str(path), state.st_size, state.st_mtime_ns))
    return tuple(found)
