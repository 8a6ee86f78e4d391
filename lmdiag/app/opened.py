"""The logs that are open: read once, kept by content, per session for uploads and for all sessions for files of the server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from lmdiag.diagnose import Diagnosis, diagnose
from lmdiag.errors import LmdiagError
from lmdiag.readers import find, runs_of
from lmdiag.readers.source import Source
from lmdiag.reports.report import Unreadable

CHECKOUT_SAMPLES = Path(__file__).parents[2] / "sample_logs"
INSTALLED_SAMPLES = Path(__file__).parent / "sample_logs"
SAMPLE_ENDINGS = (".jsonl", ".csv", ".json")
MOST_RUNS = 500
MOST_LOGS_KEPT = 256


@dataclass(frozen=True, eq=False)
class Log:
    """One file that was opened: its key (content or file identity), its name, and its runs or why it has none."""

    key: str
    name: str
    diagnoses: tuple[Diagnosis, ...] = ()
    problem: Unreadable | None = None
    path: Path | None = None


def read_log(key: str, source: Source) -> Log:
    """Read and diagnose every run of a source; what goes wrong becomes a message, never a traceback."""
    try:
        runs = runs_of(source)
        return Log(key, source.name, tuple(diagnose(run) for run in runs[:MOST_RUNS]))
    except LmdiagError as error:
        return Log(key, source.name, problem=Unreadable(source.name, error.message, error.hint))
    except Exception as error:
        # A defect of ours must not show a traceback, nor keep the other logs from being seen.
        hint = "Please report it, with the first lines of the log."
        return Log(
            key, source.name, problem=Unreadable(source.name, f"lmdiag failed on it ({type(error).__name__})", hint)
        )


def open_upload(name: str, content: bytes) -> None:
    """Open an uploaded file for this session only."""
    key = hashlib.blake2b(content, digest_size=12).hexdigest()
    if key not in _open_logs():
        _open_logs()[key] = read_log(key, Source(name, content=content))
    st.session_state["chosen"] = f"{key}/0"


def open_folder(files: Mapping[str, bytes]) -> int:
    """Open the logs of an uploaded folder, {path: content}, found as on the command line; return how many files are no logs."""
    with TemporaryDirectory() as place:
        folder = Path(place).resolve()
        for name, content in files.items():
            path = folder.joinpath(*(part for part in PurePosixPath(name).parts if part not in ("..", "/")))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        found = [(source, source.path) for source in find([folder])[0] if source.path is not None]
        for source, path in found:
            name = path.relative_to(folder).as_posix()
            content = name.encode() if source.is_folder else path.read_bytes()
            key = hashlib.blake2b(content, digest_size=12).hexdigest()
            _open_logs()[key] = read_log(key, Source(name, path=path))
            st.session_state["chosen"] = f"{key}/0"
    return len(files) - len(found)


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
    sources, missing = find(paths)
    for number, error in enumerate(missing):
        key = f"missing-{number}"
        _open_logs()[key] = Log(key, "", problem=Unreadable("", error.message, error.hint))
    for source in sources:
        log = (
            read_log(source.name, source)
            if source.path is None or source.is_folder
            else read_file(source.path, source.name)
        )
        _open_logs()[log.key] = log


def read_file(path: Path, name: str = "") -> Log:
    """Read a file of the server, or take it from memory if it is unchanged; its key stays while it grows."""
    status = path.stat()
    log = _cached_file(str(path), name or path.name, status.st_size, status.st_mtime_ns)
    return replace(log, path=path)


@st.cache_resource(max_entries=MOST_LOGS_KEPT, show_spinner="Reading the log …")
def _cached_file(path: str, name: str, size: int, changed: int) -> Log:
    return read_log(hashlib.blake2b(path.encode(), digest_size=12).hexdigest(), Source(name, path=Path(path)))


def refresh() -> bool:
    """Read the open files that have changed again, and tell whether there were any."""
    changed = False
    for key, log in _open_logs().items():
        if log.path is not None and log.path.exists():
            now = read_file(log.path, log.name)
            changed = changed or now.diagnoses != log.diagnoses or now.problem != log.problem
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
    return {f"{log.key}/{i}": d for log in _open_logs().values() for i, d in enumerate(log.diagnoses)}


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
