"""Paths, folders, globs and `-` -> the logs to read."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from lmdiag.errors import LmdiagError, UnreadableLog
from lmdiag.readers.remote import is_url
from lmdiag.readers.source import Source, without_endless_line

SUFFIXES = frozenset(
    [
        ".jsonl",
        ".ndjson",
        ".json",
        ".ipynb",
        ".csv",
        ".tsv",
        ".log",
        ".logs",
        ".txt",
        ".out",
        ".parquet",
        ".wandb",
        ".db",
        ".sqlite",
        ".err",
    ]
)
PACKED = (".gz", ".zst")
NOT_LOGS = frozenset(
    [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "generation_config.json",
        "vocab.json",
        "adapter_config.json",
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
        "package.json",
        "requirements.txt",
        "all_results.json",
        "train_results.json",
        "eval_results.json",
        "wandb-summary.json",
        "wandb-metadata.json",
        "debug-internal.log",
        "debug-core.log",
        "expected.toml",
    ]
)
SPLIT_FOLDERS = frozenset(("train", "val", "valid", "validation", "eval", "test"))
DEEPEST = 8
STREAM_BYTES = 1 << 20
LARGEST_STREAM = 1 << 30
WANDB_RUN = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)")
GLOBAL_STEP = re.compile(rb'"global_step":\s*(\d+)')

Recognise = Callable[[Source], Any]
IsLog = Callable[[Source], bool]


def discover(
    paths: Iterable[str | Path], recognise: Recognise, is_log: IsLog
) -> tuple[list[Source], list[LmdiagError]]:
    """Return every log that the paths name, each once, and what could not be found.

    A file is taken as it is; in a folder, folders that `recognise` gives a reader for and files that pass `is_log`. Of the trainer states that
    checkpoints hold, the one that got furthest is taken.
    """
    sources: dict[str, Source] = {}
    problems: list[LmdiagError] = []
    for path in paths:
        try:
            found = list(_at(str(path), recognise, is_log))
        except LmdiagError as error:
            problems.append(error)
            continue
        except OSError as error:
            problems.append(
                UnreadableLog(f"cannot read {path}: {error.strerror or error}", "check that it may be read")
            )
            continue
        for source in found:
            sources.setdefault(os.path.realpath(source.path) if source.path else source.name, source.fresh())
    return list(sources.values()), problems


def is_folder(path: str) -> bool:
    """Tell whether a path names a folder, in which the logs are to be found, and not the logs themselves."""
    if is_url(path):
        return path.endswith(("/", "/**"))
    return os.path.isdir(path) or path.endswith("/**")


def _at(path: str, recognise: Recognise, is_log: IsLog) -> Iterator[Source]:
    if "\0" in path:
        raise UnreadableLog(f"no file has the name {path!r}", "a name cannot hold a zero character")
    if path == "-":
        yield Source("<stdin>", content=_all_of(sys.stdin.buffer, "<stdin>"))
    elif is_url(path):
        yield from _remote(path, recognise, is_log)
    elif os.path.isdir(path):
        yield from _in_folder(Path(path), recognise, is_log)
    elif os.path.isfile(path):
        yield Source(path, Path(path))
    elif os.path.exists(path):  # a pipe can be read only once
        with Path(path).open("rb") as stream:
            yield Source(path, content=_all_of(stream, path))
    else:
        yield from _matches(path, recognise, is_log)


def _all_of(stream: IO[bytes], name: str) -> bytes:
    return b"".join(_without_end(without_endless_line(iter(partial(stream.read, STREAM_BYTES), b""), name), name))


def _without_end(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the pieces, or raise UnreadableLog when they are more than the memory should hold."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > LARGEST_STREAM:
            raise UnreadableLog(
                f"{name} holds more than {LARGEST_STREAM >> 20} MiB", "write it to a file, and name that"
            )
        yield piece


def _matches(path: str, recognise: Recognise, is_log: IsLog) -> Iterator[Source]:
    """Yield what fits a pattern; `runs/**` means the folder."""
    if path.endswith("/**"):
        matches = [match for match in _glob(path.removesuffix("/**")) if os.path.isdir(match)]
    else:
        matches = _glob(path) if glob.has_magic(path) else []
    if not matches:
        raise UnreadableLog(f"there is no file {path}", _similar(path))
    above = {os.path.dirname(match) for match in matches}
    for match in matches:
        if not os.path.isdir(match):
            yield Source(match, Path(match))
        elif match.rstrip("/") not in above:
            yield from _in_folder(Path(match), recognise, is_log)


def _glob(pattern: str) -> list[str]:
    """Return what fits a pattern; `**` does not follow links to folders, which may lead in circles."""
    if "**" not in pattern:
        return sorted(glob.glob(pattern))
    fixed, _, rest = pattern.partition("**")
    folders = [folder for folder in glob.glob(fixed or ".") if os.path.isdir(folder)]
    found = (path for folder in folders for path in Path(folder).glob(f"**{rest}"))
    return sorted(
        path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts if part != "..")
    )


def _remote(url: str, recognise: Recognise, is_log: IsLog) -> Iterator[Source]:
    """Yield the logs that a URL names: a file, those that fit a pattern, or those in a folder, which is copied here first."""
    from lmdiag.readers.remote import matching, mirrored, without_secrets

    folder = url.removesuffix("**").rstrip("/") if is_folder(url) else url
    found = [] if is_folder(url) else matching(url)
    if found:
        yield from (Source(without_secrets(file), url=file) for file in found)
        return
    copy, urls = mirrored(folder, matters)
    if not urls:
        raise UnreadableLog(
            f"there is no file {without_secrets(url)}",
            "check the address; a folder of logs is named with a / at its end",
        )
    lost = [inside for inside in urls if not (copy / inside).exists() and _called_like_a_log(inside)]
    yield from (Source(without_secrets(f"{folder}/{inside}"), url=urls[inside]) for inside in lost)
    for source in _in_folder(copy, recognise, is_log) if len(lost) < len(urls) else ():
        inside = source.name.removeprefix(copy.as_posix()).strip("/")
        where = f"{folder}/{inside}".rstrip("/") + "/" * source.is_folder
        yield replace(source, name=without_secrets(where), url=urls.get(inside, where))


def matters(path: str) -> bool:
    """Tell whether a file of a folder may be a log or part of one: of MLflow's store, most have no ending."""
    *above, name = path.split("/")
    return (
        _called_like_a_log(name)
        or name.endswith((".yaml", ".yml"))
        or not {"metrics", "params", "tags"}.isdisjoint(above)
    )


def _similar(path: str) -> str:
    from difflib import get_close_matches

    folder = os.path.dirname(path) or "."
    names = os.listdir(folder) if os.path.isdir(folder) else []
    close = get_close_matches(os.path.basename(path), names, n=1)
    return f"did you mean {os.path.join(os.path.dirname(path), close[0])}?" if close else "check the path"


def _in_folder(folder: Path, recognise: Recognise, is_log: IsLog) -> Iterator[Source]:
    seen = 0
    found: list[Source] = []
    for source in _candidates(folder, recognise, 0, frozenset()):
        seen += 1
        if source.is_folder or _recognised(source, is_log):
            found.append(source.fresh())
    if not found:
        raise UnreadableLog(
            f"no log was found in the folder {folder} ({seen} files looked like one by their names)",
            "name the file itself to learn what it lacks",
        )
    yield from _with_resumes(_furthest_states(found))


def _with_resumes(sources: Iterable[Source]) -> Iterator[Source]:
    """Join the folders of W&B in which one run was resumed: they stand side by side and end with its id."""
    joined: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        named = WANDB_RUN.fullmatch(source.path.name) if source.is_folder and source.path else None
        if named:
            joined.setdefault((str(source.path.parent), named["id"]), []).append(source)  # type: ignore[union-attr]
        else:
            joined[source.name, ""] = [source]
    for parts in joined.values():
        first, *later = sorted(parts, key=lambda s: s.path.name.removeprefix("offline-") if s.path else "")
        yield replace(first, later=tuple(s.path for s in later if s.path)) if later else first


def _recognised(source: Source, is_log: IsLog) -> bool:
    try:
        return (
            not source.name.endswith(".json") or b"loss" in source.head or b"log_history" in source.head
        ) and is_log(source)
    except UnreadableLog:
        return True  # a log that is there and cannot be opened is said, not passed over


def _candidates(folder: Path, recognise: Recognise, depth: int, claimed: frozenset[str]) -> Iterator[Source]:
    """Yield folders that a reader takes as a whole, and files that are called like logs; `claimed` names readers at work above."""
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
        named = _called_like_a_log(path.name) and not _is_the_clients_own(path)
        if named and path.is_file() and not _belongs(path, taken | claimed, recognise):
            yield Source(path.as_posix(), path)
    for path in entries:
        if path.is_dir() and not path.is_symlink() and depth < DEEPEST and not path.name.startswith("."):
            part = path.name.lower() in SPLIT_FOLDERS or (reader is not None and _is_part(reader, path))
            yield from _candidates(path, recognise, depth + 1, taken if part else frozenset())


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


def _called_like_a_log(name: str) -> bool:
    lowered = name.lower()
    for suffix in PACKED:
        lowered = lowered.removesuffix(suffix)
    return lowered not in NOT_LOGS and ("tfevents" in lowered or os.path.splitext(lowered)[1] in SUFFIXES)


def _furthest_states(sources: list[Source]) -> Iterator[Source]:
    """Keep one of the trainer states of a run: every checkpoint repeats the history up to itself."""
    best: dict[str, tuple[int, int]] = {}
    for number, source in enumerate(sources):
        if source.name.endswith("trainer_state.json"):
            folder = source.name.rpartition("/")[0]
            run = folder.rpartition("/")[0] if folder.rpartition("/")[2].startswith("checkpoint-") else folder
            step = GLOBAL_STEP.search(source.head)
            best[run] = max(best.get(run, (-1, 0)), (int(step[1]) if step else 0, -number))
    kept = {-number for _, number in best.values()}
    for number, source in enumerate(sources):
        if number in kept or not source.name.endswith("trainer_state.json"):
            yield source
