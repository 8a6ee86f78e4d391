"""TensorBoard event files and folders of them, without TensorFlow.

All event files of a folder are one run: a resumed run appends a file. Keras writes `train/` and `validation/` below
the folder of the run, fairseq `train_inner/` too, and `SummaryWriter.add_scalars` a folder for each curve.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.naming import spelling
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tensorboard.event_file import EventFile, read_event_file
from lmdiag.readers.tensorboard.event_rows import points, rows_of
from lmdiag.readers.tensorboard.tfrecord import is_record
from lmdiag.readers.trackers.names import reductions, translations
from lmdiag.readers.trackers.ray_tune import PREFIX
from lmdiag.run import Event, Skipped

FORMAT = "tensorboard"
# Those of Catalyst before 21.0; later ones have `train`, `valid` and a mostly empty `_epoch_`
_OF_CATALYST = {"train_log": "train", "valid_log": "valid", "infer_log": "infer", "_base_log": "train"}
_SPLITS = ("train", "train_inner", "validation", "valid", "val", "eval", "test", "_epoch_", *_OF_CATALYST)
_HPARAMS_FOLDER = re.compile(r"\d{9,}(\.\d+)?")  # `SummaryWriter.add_hparams` names it by the time
_PROCESS = re.compile(r"tfevents\.\d+\.(?P<process>.+?)(?:\.\d+)?(?:\.v2)?$")
_SETTINGS_TAG = re.compile(r"^(args|config|hparams|hyperparameters|model_config)(/|$)", re.IGNORECASE)
_LOSS = re.compile(r"(^|/)(nll_)?loss$")


class _File(Struct, frozen=True):
    """One event file of a run: the subfolder it lies in, its name, what it holds."""

    folder: str
    name: str
    events: EventFile


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is an event file, or a folder with the event files of one run in it."""
    if name.endswith("/"):
        return any(_belongs(path) for path in head.decode("utf-8", "replace").split("\n"))
    return (b"brain.Event" in head[:64] or "tfevents" in name) and is_record(head)


def _belongs(path: str) -> bool:
    *folders, file = path.split("/")
    return "tfevents" in file and (not folders or (len(folders) == 1 and folders[0] in _SPLITS))


def read(source: Source) -> list[RawLog]:
    """Read an event file, or all event files of a folder as one run."""
    files = _folder(source) if source.is_folder else [_File("", source.name, read_event_file(source.data))]
    if not any(file.events.records for file in files):
        raise UnreadableLog(
            f"{source.name}: no sound TensorBoard record in it",
            "check that the event file was copied completely, and in binary mode",
        )
    return [_log(source.name, sorted(files, key=lambda f: (f.events.started, f.name)))]


def is_part(folder: Path) -> bool:
    """Tell whether a subfolder belongs to the run of the folder above it and is no run of its own."""
    if folder.name in _SPLITS:
        return True
    files = [file for file in _event_files(folder, folder.name) if file.events.tags or file.events.settings]
    return bool(files) and all(_HPARAMS_FOLDER.fullmatch(folder.name) or _curve(file) for file in files)


def _folder(source: Source) -> list[_File]:
    assert source.path is not None
    return _files_below(source.path, "")


def _files_below(folder: Path, name: str) -> list[_File]:
    """Return the event files of a folder and, with their path below that of the run, of the subfolders that belong to it."""
    found = _event_files(folder, name)
    for below in sorted(p for p in folder.iterdir() if p.is_dir()):
        if is_part(below) and not (name and below.is_symlink()):
            found += _files_below(below, f"{name}/{below.name}".removeprefix("/"))
    return found


def _event_files(folder: Path, name: str) -> list[_File]:
    paths = sorted(p for p in folder.iterdir() if p.is_file() and "tfevents" in p.name)
    return [_File(name, p.name, read_event_file(Source(p.as_posix(), p).data)) for p in paths]


def _curve(file: _File) -> str | None:
    """Return `main/curve` if `add_scalars("main", {"curve": …})` wrote the file, which it put into `main_curve/`."""
    *above, own = file.folder.split("/")
    main = next(iter(file.events.tags), "")
    start = main.replace("/", "_") + "_"
    alone = len(file.events.tags) == 1 and own.startswith(start) and own not in _SPLITS
    return "/".join((*above, main, own.removeprefix(start))) if alone else None


def _columns(file: _File) -> dict[str, str]:
    """Return the column for each tag of a file."""
    if not file.folder:
        return {tag: tag.removeprefix(PREFIX) for tag in file.events.tags}
    folder = _OF_CATALYST.get(file.folder, file.folder)
    return {tag: _curve(file) or f"{folder}/{tag}" for tag in file.events.tags}


def _log(name: str, files: list[_File]) -> RawLog:
    columns, n_rows = rows_of(points([(file.events, _columns(file)) for file in files]))
    texts = {tag: text for file in files for tag, text in file.events.texts.items()}
    settings = _stated_settings(texts)
    for file in files:
        settings |= file.events.settings
    names = translations(columns) | _keras_names(columns)
    kept = [column for column in columns if names.get(column, column) is not None]
    log = RawLog(
        FORMAT,
        name,
        columns,
        n_rows,
        source=name,
        settings=settings,
        events=tuple(_new_processes(files)),
        notes=() if n_rows else ("There is no scalar in the event files.",),
        skipped=tuple(_located(skip, file, len(files)) for file in files for skip in file.events.skipped),
        step_column=next(iter(columns), ""),
        names=names,
        reductions=reductions(columns, settings),
    )
    if any(file.folder == "train_inner" for file in files):
        return _fairseq(log)
    if any(re.search(r"(^|/)epoch_\w+$", c) for c in kept):
        return replace(log, step_kind="epoch", step_offset=1)  # Keras counts epochs from 0
    return replace(log, step_kind="samples") if any(c.startswith("Train/Samples/") for c in kept) else log


def _keras_names(columns: Collection[str]) -> dict[str, str | None]:
    """Choose between the two axes of Keras: epochs, or batches if those were logged too."""
    by_batch = any(re.search(r"(^|/)batch_loss$", c) for c in columns)
    dropped = r"(^|/)epoch_\w+$" if by_batch else r"(^|/)evaluation_\w+_vs_iterations$"
    names: dict[str, str | None] = {c: None for c in columns if re.search(dropped, c)}
    if by_batch:
        for c in columns:
            measured = re.search(r"(?:^|/)evaluation_(\w+)_vs_iterations$", c)
            if measured:
                names[c] = f"val/{measured[1]}"
    return names


def _fairseq(log: RawLog) -> RawLog:
    """fairseq logs bits; `train_inner` holds the records, `train` the means of epochs, `valid` the evaluations."""
    names: dict[str, str | None] = dict(log.names)
    for column in log.columns:
        folder, _, tag = column.partition("/")
        if folder not in _SPLITS:
            continue
        smoothed = tag == "loss" and f"{folder}/nll_loss" in log.columns
        metric = "smoothed_loss" if smoothed else spelling(tag).name
        names[column] = {"train_inner": metric, "train": f"train/{metric}"}.get(folder, f"val/{metric}")
    losses = [column for column in log.columns if _LOSS.search(column)]
    return replace(log, names=names, units=dict.fromkeys(losses, "bits"))


def _stated_settings(texts: dict[str, str]) -> dict[str, Any]:
    """Return what text summaries say about the settings of the program: JSON objects under tags such as `args`."""
    settings: dict[str, Any] = {}
    for tag, text in texts.items():
        if _SETTINGS_TAG.search(tag):
            try:
                stated = json.loads(re.sub(r"^\s*(```\w*)?|(```)?\s*$", "", text))
            except ValueError:
                continue
            settings |= stated if isinstance(stated, dict) else {}
    return settings


def _new_processes(files: list[_File]) -> Iterator[Event]:
    """Yield a restart for each file of another process that goes on with the curves of the one before."""
    seen: dict[str, str] = {}
    for file in files:
        match = _PROCESS.search(file.name)
        process = match["process"] if match else ""
        before = {seen[column] for column in _columns(file).values() if column in seen}
        if before and process not in before and len(file.events.steps):
            yield Event("restart", int(file.events.steps[0]), f"another process goes on in {file.name}")
        seen |= dict.fromkeys(_columns(file).values(), process)


def _located(skip: Skipped, file: _File, files: int) -> Skipped:
    where = f"{file.folder}/{file.name}".strip("/")
    return skip if files == 1 else replace(skip, reason=f"{where}: {skip.reason}")
