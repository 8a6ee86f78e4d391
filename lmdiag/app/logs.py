"""The open logs: read once and kept by content, uploads per session, files of the server for all sessions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from lmdiag.app.names import distinct
from lmdiag.app.reading import Log, is_file, project_settings, read_file, read_log, read_together
from lmdiag.diagnose import Diagnosis
from lmdiag.judging.judged import Judged, unreadable, without_duplicates
from lmdiag.judging.logs import report_of
from lmdiag.judging.reading import groups_at
from lmdiag.readers.options import ReadOptions
from lmdiag.reports.entries import worst_first
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.report import Report
from lmdiag.sources.addresses import is_tracked
from lmdiag.sources.source import Source

CHECKOUT_SAMPLES = Path(__file__).parents[2] / "sample_logs"
INSTALLED_SAMPLES = Path(__file__).parent / "sample_logs"
SAMPLE_ENDINGS = (".jsonl", ".csv", ".json")


def read_again(key: str, options: ReadOptions) -> None:
    """Read an open log anew, as the reader says, and show it."""
    log = all_open()[key]
    st.session_state["read_as"] = {**st.session_state.get("read_as", {}), key: options}
    st.session_state.get("followers", {}).pop(key, None)
    if log.path is not None:
        again = read_file(log.path, log.name, log.beside)
    elif log.source is not None:
        again = replace(read_log(key, log.source.fresh(), project_settings()), source=log.source)
    else:
        return
    all_open()[key] = replace(again, group=log.group)
    st.session_state["to_the_top"] = True  # what was asked for stands below all that was asked
    show(f"{key}/0")


def open_upload(name: str, content: bytes) -> str:
    """Open an uploaded file for this session only, and return what is to be said of it, "" where all is usual."""
    key = hashlib.blake2b(content, digest_size=12).hexdigest()
    st.session_state["chosen"] = f"{key}/0"
    _uploaded().add(key)
    if key in all_open():
        return f"{name} holds the same as {all_open()[key].name}, which is open already."
    alike = any(log.name == name for log in all_open().values())
    all_open()[key] = read_log(key, Source(name, content=content), project_settings())
    return f"Another {name} is open, with other contents: their steps tell them apart." if alike else ""


def _uploaded() -> set[str]:
    keys: set[str] = st.session_state.setdefault("uploaded", set())
    return keys


def uploads() -> int:
    """Return how many open logs were uploaded: these go when the page is loaded anew."""
    return len(_uploaded() & all_open().keys())


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
            if log.source is not None:  # the folder will be gone
                log = replace(log, source=Source(first.name, content=first.data))
            all_open()[key] = replace(log, group=group)
            _uploaded().add(key)
            st.session_state["chosen"] = f"{key}/0"
    for at, problem in enumerate(lost):
        all_open()[f"{group}-{at}"] = Log(f"{group}-{at}", problem.source, Judged(unreadable=(problem,)))
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
    all_open()[log.key] = log
    st.session_state["chosen"] = f"{log.key}/0"
    st.session_state["to_the_top"] = True  # the gallery may have been scrolled down


def open_paths(paths: Sequence[str]) -> None:
    """Open the files, folders and globs of the command line, once per session."""
    if paths and "paths_opened" not in st.session_state:
        open_more(paths)


def open_more(paths: Sequence[str]) -> list[str]:
    """Open further files, folders, globs and addresses, and return the keys of the logs found."""
    known: tuple[str, ...] = st.session_state.get("paths_opened", ())
    st.session_state["paths_opened"] = (*known, *paths)
    groups, missing = groups_at(paths, project_settings())
    for name, error in missing:
        key = f"missing-{name}"
        all_open()[key] = Log(key, "", Judged(unreadable=(unreadable(name, error),)))
    numbered = [(number, group) for number, group in enumerate(groups, len(known))]
    found = [(source, f"folder-{n}" if group.is_folder else "") for n, group in numbered for source in group.sources]
    ahead = read_together([source for source, _ in found])
    return [_open_source(source, group, ahead.get(source.name)) for source, group in found]


def _open_source(source: Source, group: str, read: Log | None = None) -> str:
    """Open a log that was found, `read` already or not yet, and return its key."""
    if read is None and source.path is not None and is_file(source):
        read = read_file(source.path, source.name, source.beside)
    log = read or read_log(source.name, source, project_settings())
    all_open()[log.key] = replace(log, group=group)
    known: set[str] = st.session_state.setdefault("sources_opened", set())
    known.add(source.name)
    return log.key


def new_files(every_s: float) -> list[tuple[Source, str]]:
    """Return the logs that have appeared in the opened folders, each with its group; looked for once in so many seconds."""
    now, last = time.monotonic(), st.session_state.get("folders_seen", 0.0)
    folders: tuple[str, ...] = st.session_state.get("paths_opened", ())
    if now - last < every_s or not any(Path(folder).is_dir() for folder in folders):
        return list(st.session_state.get("new_files", ()))
    known: set[str] = st.session_state.get("sources_opened", set())
    numbered = [(number, folder) for number, folder in enumerate(folders) if not is_tracked(folder)]
    groups, _ = groups_at([folder for _, folder in numbered], project_settings())
    found = [
        (source, f"folder-{number}")
        for (number, _), group in zip(numbered, groups, strict=True)
        for source in group.sources
        if group.is_folder and source.name not in known
    ]
    st.session_state["folders_seen"], st.session_state["new_files"] = now, found
    return found


def open_new_files(every_s: float) -> None:
    """Open the logs that have appeared in the opened folders."""
    for source, group in new_files(every_s):
        _open_source(source, group)
    st.session_state["new_files"] = ()


def any_grows() -> bool:
    """Whether any open log is a file of the server or a run on that of a tracker, which may grow."""
    return any(log.grows for log in all_open().values())


def samples() -> list[Path]:
    """Return the logs that came with lmdiag, from the checkout or from the installed package."""
    folder = CHECKOUT_SAMPLES if CHECKOUT_SAMPLES.is_dir() else INSTALLED_SAMPLES
    return sorted(p for p in folder.glob("*") if p.suffix in SAMPLE_ENDINGS)


def is_open(path: Path) -> bool:
    """Whether a file of the server is open."""
    return any(log.path == path for log in all_open().values())


def close(key: str) -> None:
    """Close a log."""
    all_open().pop(key, None)
    st.session_state["closed"] = {run for run in _closed() if run.rpartition("/")[0] != key}


def close_runs(closing: Sequence[str]) -> None:
    """Close some of the open runs, and the logs of which no other is left."""
    st.session_state["closed"] = _closed() | set(closing)
    emptied = {run.rpartition("/")[0] for run in closing} - {run.rpartition("/")[0] for run in runs()}
    for key in emptied:
        close(key)


def _closed() -> set[str]:
    found: set[str] = st.session_state.get("closed", set())
    return found


def runs() -> dict[str, Diagnosis]:
    """Return every open run under a key that stays the same while the log is open, worst first."""
    found = {f"{log.key}/{i}": d for log, judged in _each_once() for i, d in enumerate(judged.diagnoses)}
    known = {key: diagnosis for key, diagnosis in found.items() if key not in _closed()}
    order = {id(diagnosis): place for place, diagnosis in enumerate(worst_first(tuple(known.values())))}
    return dict(sorted(known.items(), key=lambda item: order[id(item[1])]))


def names() -> dict[str, str]:
    """Return a short name for each open run that no other has, or the one that the reader gave it."""
    known = runs()
    given: dict[str, str] = st.session_state.get("given_names", {})
    found = [diagnosis.run for diagnosis in known.values()]
    short = distinct([run.name for run in found], [run.source for run in found])
    return {key: given.get(key, name) for key, name in zip(known, short)}


def of_run(key: str) -> Log:
    """Return the log that a run was read from."""
    return all_open()[key.rpartition("/")[0]]


def show(key: str) -> None:
    """Show the page of a run."""
    st.session_state["chosen"], st.session_state["go_to"] = key, "Run"


def compare(runs: Sequence[str]) -> None:
    """Show the page that compares some of the open runs."""
    st.session_state["compared"], st.session_state["go_to"] = list(runs), "Compare"


def pin(key: str | None) -> None:
    """Name a run as the best so far, or none."""
    st.session_state["pinned"] = key


def rename(key: str, name: str) -> None:
    """Give a run another name on the pages of this session."""
    given: dict[str, str] = st.session_state.setdefault("given_names", {})
    given.pop(key, None)
    if name.strip():
        given[key] = name.strip()


def report_on(diagnosis: Diagnosis) -> Report:
    """Return the report on one open run, with the findings of it that do not count."""
    gone = tuple(s for _, judged in _each_once() for s in judged.suppressed if s.run is diagnosis.run)
    return report_of([Judged((diagnosis,), gone)], project_settings())


def _each_once() -> list[tuple[Log, Judged]]:
    """Return the open logs with each run once, worked out anew only where a log was opened, closed or read again."""
    opened = tuple(all_open().values())
    last: tuple[tuple[Log, ...], list[tuple[Log, Judged]]] | None = st.session_state.get("each_once")
    if last is None or last[0] != opened:  # logs are equal only if they are the same
        last = st.session_state["each_once"] = opened, each_run_once(opened)
    return last[1]


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
    return [log for log in all_open().values() if log.problem is not None]


def chosen() -> str | None:
    """Return the key of the run that is shown: the one last chosen, else the first."""
    known = runs()
    key = st.session_state.get("chosen")
    return key if key in known else next(iter(known), None)


def all_open() -> dict[str, Log]:
    """Return the logs that are open, by their keys."""
    logs: dict[str, Any] = st.session_state.setdefault("logs", {})
    return logs
