"""The open logs: read once and kept by content, uploads per session, files of the server for all sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from lmdiag.config import Settings, load
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError
from lmdiag.judging.baseline import accepted_by
from lmdiag.judging.judged import Judged, Judging, internal_error, unreadable, without_duplicates
from lmdiag.judging.logs import report_of
from lmdiag.judging.policy import check_settings
from lmdiag.judging.reading import groups_at
from lmdiag.readers.options import ReadOptions
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.report import Report
from lmdiag.sources.source import Source

CHECKOUT_SAMPLES = Path(__file__).parents[2] / "sample_logs"
INSTALLED_SAMPLES = Path(__file__).parent / "sample_logs"
SAMPLE_ENDINGS = (".jsonl", ".csv", ".json")
MOST_LOGS_KEPT = 256


@dataclass(frozen=True, eq=False)
class Log:
    """One source that was opened: its key (content or file identity), its name, and its judged runs.

    Logs of one `group`, a folder, may hold the same run; files `beside` its own were read with it.
    """

    key: str
    name: str
    judged: Judged = field(default_factory=Judged)
    path: Path | None = None
    group: str = ""
    beside: tuple[Source, ...] = ()

    @property
    def problem(self) -> Unreadable | None:
        """Why the log could not be read, None where it could."""
        return next(iter(self.judged.unreadable), None)


def read_log(key: str, source: Source, settings: Settings) -> Log:
    """Read and judge every run of a source; what goes wrong becomes a message, never a traceback."""
    try:
        judged = Judging(settings, accepted_by(settings), ReadOptions(), compared=True)(replace(source, met=False))
    except LmdiagError as error:
        judged = Judged(unreadable=(unreadable(source.name, error),))
    except Exception as error:  # a defect of ours must not show a traceback, nor keep the other logs from being seen
        judged = Judged(unreadable=(internal_error(source.name, error),))
    return Log(key, source.name, judged)


def project_settings() -> Settings:
    """Return the settings of the project that the app was started in; invalid ones are reported once, then ignored."""
    try:
        settings = load(Path.cwd())
        check_settings(settings)
        accepted_by(settings)
    except LmdiagError as error:
        if "settings_said" not in st.session_state:
            st.session_state["settings_said"] = True
            _open_logs()["settings"] = Log(
                "settings", "", Judged(unreadable=(Unreadable("", error.message, error.hint),))
            )
        return Settings()
    return settings


def open_upload(name: str, content: bytes) -> None:
    """Open an uploaded file for this session only."""
    key = hashlib.blake2b(content, digest_size=12).hexdigest()
    if key not in _open_logs():
        _open_logs()[key] = read_log(key, Source(name, content=content), project_settings())
    st.session_state["chosen"] = f"{key}/0"


def open_folder(files: Mapping[str, bytes]) -> int:
    """Open the logs of an uploaded folder, {path: content}, and return how many files are not logs.

    They are found as on the command line.
    """
    number = st.session_state["folders_opened"] = st.session_state.get("folders_opened", 0) + 1
    group = f"upload-{number}"  # two folders may have one name, and hold the same files
    with TemporaryDirectory() as place:
        folder = Path(place).resolve()
        lost = [problem for name, content in files.items() if (problem := _unwritten(folder, name, content))]
        settings = project_settings()
        groups, missing = groups_at([folder])
        lost += [Unreadable("", _without(folder, problem.message), problem.hint) for _, problem in missing]
        found = [source for group in groups for source in group.sources]
        for source in found:
            first, *others = (replace(part, name=_without(folder, part.name)) for part in source.parts)
            key = hashlib.blake2b(f"{group}/{first.name}".encode("utf-8", "replace"), digest_size=12).hexdigest()
            log = read_log(key, replace(first, beside=tuple(others)), settings)
            _open_logs()[key] = replace(log, group=group)
            st.session_state["chosen"] = f"{key}/0"
    for at, problem in enumerate(lost):
        _open_logs()[f"{group}-{at}"] = Log(f"{group}-{at}", problem.source, Judged(unreadable=(problem,)))
    return len(files) - sum(len(source.parts) for source in found)


def _unwritten(folder: Path, name: str, content: bytes) -> Unreadable | None:
    """Write an uploaded file below a folder, and return what keeps it from being written: names come from anywhere."""
    path = folder.joinpath(*(part for part in PurePosixPath(name).parts if part not in ("..", "/")))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or str(error)
        return Unreadable(name.replace("\0", "�"), f"a file of this name cannot be kept: {why}", "give it another name")
    return None


def _without(folder: Path, text: str) -> str:
    """Return a text without the path of the temporary folder that the user knows nothing of."""
    return text.replace(f"{folder.as_posix()}/", "").replace(folder.as_posix(), "that was uploaded") or "upload/"


def open_sample(path: Path) -> None:
    """Open a log that came with lmdiag, and show it."""
    log = read_file(path)
    _open_logs()[log.key] = log
    st.session_state["chosen"] = f"{log.key}/0"
    st.session_state["to_the_top"] = True  # the gallery may have been scrolled down


def open_paths(paths: Sequence[str]) -> None:
    """Open the files, folders and globs of the command line, once per session."""
    if not paths or "paths_opened" in st.session_state:
        return
    st.session_state["paths_opened"] = True
    groups, missing = groups_at(paths)
    for number, problem in enumerate(missing):
        key = f"missing-{number}"
        _open_logs()[key] = Log(key, "", Judged(unreadable=(unreadable(*problem),)))
    for number, group in enumerate(groups):
        for source in group.sources:
            on_disk = source.path is not None and not source.is_folder
            log = (
                read_file(source.path, source.name, source.beside)
                if on_disk and source.path
                else read_log(source.name, source, project_settings())
            )
            _open_logs()[log.key] = replace(log, group=f"folder-{number}" if group.is_folder else "")


def read_file(path: Path, name: str = "", beside: tuple[Source, ...] = ()) -> Log:
    """Read a file of the server and those beside it, or take it from memory if all are unchanged; its key stays while it grows."""
    files = [path, *(part.path for part in beside if part.path is not None)]
    states = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists())
    settings = project_settings()
    log = _cached_file(str(path), name or path.name, states, repr(settings), settings, beside)
    return replace(log, path=path, beside=beside)


@st.cache_resource(max_entries=MOST_LOGS_KEPT, show_spinner="Reading the log …")
def _cached_file(
    path: str, name: str, states: tuple[Any, ...], under: str, _settings: Settings, _beside: tuple[Source, ...]
) -> Log:
    key = hashlib.blake2b(path.encode(), digest_size=12).hexdigest()
    return read_log(key, Source(name, path=Path(path), beside=_beside).fresh(), _settings)


def refresh() -> bool:
    """Read the open files that have changed again, and tell whether there were any."""
    changed = False
    for key, log in _open_logs().items():
        if log.path is not None and log.path.exists():
            now = replace(read_file(log.path, log.name, log.beside), group=log.group)
            changed = changed or now.judged != log.judged
            _open_logs()[key] = now
    return changed


def on_disk() -> bool:
    """Whether any open log is a file of the server, which may grow."""
    return any(log.path is not None for log in _open_logs().values())


def samples() -> list[Path]:
    """Return the logs that came with lmdiag, from the checkout or from the installed package."""
    folder = CHECKOUT_SAMPLES if CHECKOUT_SAMPLES.is_dir() else INSTALLED_SAMPLES
    return sorted(p for p in folder.glob("*") if p.suffix in SAMPLE_ENDINGS)


def is_open(path: Path) -> bool:
    """Whether a file of the server is open."""
    return any(log.path == path for log in _open_logs().values())


def close(key: str) -> None:
    """Close a log."""
    _open_logs().pop(key, None)


def runs() -> dict[str, Diagnosis]:
    """Return every open run under a key that stays the same while the log is open."""
    opened = each_run_once(_open_logs().values())
    return {f"{log.key}/{i}": d for log, judged in opened for i, d in enumerate(judged.diagnoses)}


def report_on(diagnosis: Diagnosis) -> Report:
    """Return the report on one open run, with the findings of it that do not count."""
    opened = each_run_once(_open_logs().values())
    gone = tuple(s for _, judged in opened for s in judged.suppressed if s.run is diagnosis.run)
    return report_of([Judged((diagnosis,), gone)], project_settings())


def each_run_once(logs: Iterable[Log]) -> list[tuple[Log, Judged]]:
    """Return the open logs with their judged runs, without duplicates of a run in one folder."""
    opened = list(logs)
    judged = {log.key: log.judged for log in opened}
    for group in {log.group for log in opened} - {""}:
        members = [log for log in opened if log.group == group]
        parts = without_duplicates([log.judged for log in members])
        judged |= {log.key: part for log, part in zip(members, parts)}
    return [(log, judged[log.key]) for log in opened]


def problems() -> list[Log]:
    """Return the logs that could not be read."""
    return [log for log in _open_logs().values() if log.problem is not None]


def chosen() -> str | None:
    """Return the key of the run that is shown: the one last chosen, else the first."""
    known = runs()
    key = st.session_state.get("chosen")
    return key if key in known else next(iter(known), None)


def _open_logs() -> dict[str, Log]:
    logs: dict[str, Any] = st.session_state.setdefault("logs", {})
    return logs
