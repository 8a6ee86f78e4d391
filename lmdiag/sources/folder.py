"""A folder -> the logs in it: single files, and folders that one reader takes as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.sources.log_names import NOT_LOGS, called_like_a_log
from lmdiag.sources.rotated import with_older
from lmdiag.sources.source import Folder, Source

SPLIT_FOLDERS = frozenset(("train", "val", "valid", "validation", "eval", "test"))
OF_TRACKERS = frozenset((".aim", ".clearml", ".guild", ".neptune"))  # other folders with a dot are not looked into
DEEPEST = 8
MOST_UNNAMED = 200  # files to look into where none is called like a log
WANDB_RUN = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)")
COMET_PART = re.compile(r"(?P<id>[0-9a-f]{32})(?:-\w+)?\.zip")
NEPTUNE_DATABASE, NEPTUNE_RUN = "run_operations.sqlite3", re.compile(r"(?P<id>.+)_\d{19}")
GLOBAL_STEP = re.compile(rb'"global_step":\s*(\d+)')

Recognise = Callable[[Source], Any]
IsLog = Callable[[Source], bool]
PassedOver = Callable[[str, str], None]  # is told of a file that is called like a log and is none, and why


def logs_in(folder: Folder, recognise: Recognise, is_log: IsLog, passed_over: PassedOver) -> Iterator[Source]:
    """Yield the logs in a folder; raise UnreadableLog where there is none.

    These are the folders that `recognise` gives a reader for, and the files that pass `is_log`. Of the trainer states that
    checkpoints hold, the one that got furthest is taken.
    """
    seen = 0
    found: list[Source] = []
    for source in _candidates(folder.path, recognise, 0, frozenset()):
        seen += 1
        why = "" if source.is_folder else _why_not(source, is_log)
        if why:
            passed_over(folder.renamed(source).name, why)
        else:
            found.append(source.fresh())
    more = ""
    if not seen:
        found, cut = _unnamed_logs(folder.path, recognise, is_log)
        more = f", and none of its first {MOST_UNNAMED} files holds one" if cut else ""
    if not found:
        if not seen:
            raise UnreadableLog(
                f"nothing in the folder {folder.path} has the name of a log{more}",
                "check the path, or name a file in it",
            )
        none = f"none of the {seen} likely logs" if seen > 1 else "the one likely log"
        not_be = "be" if seen > 1 else "not be"
        raise UnreadableLog(
            f"{none} in the folder {folder.path} could {not_be} recognised",
            f"check {'one of them' if seen > 1 else 'it'} by name to see why",
        )
    for source in with_older(_with_resumes(_furthest_states(found))):
        yield replace(folder.renamed(source), met=True)


def _unnamed_logs(folder: Path, recognise: Recognise, is_log: IsLog) -> tuple[list[Source], bool]:
    """Return the logs of a folder in which no file is called like one, and whether it has more files than are looked into."""
    every = _candidates(folder, recognise, 0, frozenset(), named=lambda name: name.lower() not in NOT_LOGS)
    found = [s.fresh() for s in islice(every, MOST_UNNAMED) if not s.is_folder and not _why_not(s, is_log)]
    return found, next(every, None) is not None


def _with_resumes(sources: Iterable[Source]) -> Iterator[Source]:
    """Join what trackers wrote for one run in several processes: it lies side by side under names with the id of the run."""
    joined: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        joined.setdefault(_run_of(source) or (source.name, ""), []).append(source)
    for parts in joined.values():
        first, *later = sorted(parts, key=lambda s: s.path.as_posix().replace("/offline-", "/") if s.path else "")
        yield replace(first, later=tuple(s.path for s in later if s.path)) if later else first


def _run_of(source: Source) -> tuple[str, str] | None:
    """Return where a part of a run lies, and the id of the run; None for what is no part of one."""
    if source.path is None:
        return None
    path = source.path.parent if source.path.name == NEPTUNE_DATABASE else source.path
    pattern = WANDB_RUN if source.is_folder else COMET_PART if path is source.path else NEPTUNE_RUN
    named = pattern.fullmatch(path.name)
    return (str(path.parent), named["id"]) if named else None


def _why_not(source: Source, is_log: IsLog) -> str:
    """Return why a file is no log, "" where it is one."""
    if source.path is not None and not source.path.exists():
        return "a link to nothing"
    try:
        if not source.head.strip():
            return "empty"
        speaks = not source.name.endswith(".json") or b"loss" in source.head or b"log_history" in source.head
        return "" if speaks and is_log(source) else "no log"
    except UnreadableLog:
        return ""  # a log that is there and cannot be opened is said when it is read


def _candidates(
    folder: Path,
    recognise: Recognise,
    depth: int,
    claimed: frozenset[str],
    named: Callable[[str], bool] = called_like_a_log,
) -> Iterator[Source]:
    """Yield folders that a reader takes as a whole, and files that are `named` like logs; `claimed` names readers at work above."""
    whole = Source(f"{folder.as_posix().rstrip('/')}/", folder)
    reader = recognise(whole)
    name = getattr(reader, "__name__", "")
    taken = frozenset((name,)) if reader is not None else frozenset()
    if reader is not None and name not in claimed:
        yield whole
        if getattr(reader, "OWNS_SUBFOLDERS", False):
            return
    try:
        entries = sorted(folder.iterdir(), key=lambda p: p.name)
    except OSError:
        if not depth:
            raise
        yield whole  # reading it says why it cannot be read
        return
    for path in entries:
        likely = named(path.name) and not _is_the_clients_own(path)
        if likely and (path.is_file() or not path.exists()) and not _belongs(path, taken | claimed, recognise):
            yield Source(path.as_posix(), path)
    for path in entries:
        hidden = path.name.startswith(".") and path.name not in OF_TRACKERS
        if path.is_dir() and not path.is_symlink() and depth < DEEPEST and not hidden:
            part = path.name.lower() in SPLIT_FOLDERS or (reader is not None and _is_part(reader, path))
            yield from _candidates(path, recognise, depth + 1, taken if part else frozenset(), named)


def _is_part(reader: Any, folder: Path) -> bool:
    """Tell whether a reader that takes a whole folder reads this subfolder with it."""
    return bool(getattr(reader, "is_part", lambda folder: False)(folder))


def _belongs(path: Path, taken: frozenset[str], recognise: Recognise) -> bool:
    """Tell whether a file is part of a folder that its reader takes as a whole."""
    return bool(taken) and getattr(recognise(Source(path.as_posix(), path)), "__name__", "") in taken


def _is_the_clients_own(path: Path) -> bool:
    """Tell whether this is what the client of W&B writes about itself."""
    inside = (part == "wandb" or WANDB_RUN.fullmatch(part) for part in path.parts[-4:-1])
    return path.name == "debug.log" and any(inside)


def _furthest_states(sources: list[Source]) -> Iterator[Source]:
    """Keep one of the trainer states of a run: every checkpoint repeats the history up to itself."""
    best: dict[str, tuple[int, int]] = {}
    for number, source in enumerate(sources):
        if _is_state(source):
            folder = source.name.rpartition("/")[0]
            run = folder.rpartition("/")[0] if folder.rpartition("/")[2].startswith("checkpoint-") else folder
            step = GLOBAL_STEP.search(source.head)
            best[run] = max(best.get(run, (-1, 0)), (int(step[1]) if step else 0, -number))
    kept = {-number for _, number in best.values()}
    for number, source in enumerate(sources):
        if number in kept or not _is_state(source):
            yield source


def _is_state(source: Source) -> bool:
    """Tell whether a file has the name that the Trainer gives it: under another one it is of a run of its own."""
    return source.name.rpartition("/")[2] == "trainer_state.json"
