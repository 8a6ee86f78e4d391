"""MLflow's file store: the folder `mlruns`, or one experiment or run in it."""

from __future__ import annotations

import re
from pathlib import Path

from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.run import Skipped

FORMAT = "mlflow"
OWNS_SUBFOLDERS = True
_RUN = re.compile(r"\n(?:[^/\n]+/)?[0-9a-f]{32}/meta\.yaml\n")


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder is a run of MLflow, an experiment or the whole `mlruns`."""
    listing = head.decode("utf-8", "replace") if name.endswith("/") else ""
    return bool(_RUN.search(listing)) or ("\nmeta.yaml\n" in listing and "\nmetrics/" in listing)


def read(source: Source) -> list[RawLog]:
    """Read every run below the folder; deleted ones (`.trash`) and logged models are left out."""
    assert source.path is not None
    metas = sorted(
        {*source.path.glob("meta.yaml"), *source.path.glob("*/meta.yaml"), *source.path.glob("*/*/meta.yaml")}
    )
    folders = [meta.parent for meta in metas if (meta.parent / "metrics").is_dir() and ".trash" not in meta.parts]
    return [_run(folder, source, len(folders)) for folder in folders]


def _run(folder: Path, source: Source, count: int) -> RawLog:
    meta = plain_yaml(_text(folder / "meta.yaml"))
    skipped: list[Skipped] = []
    metrics = {key: _points(text, key, skipped) for key, text in _texts(folder / "metrics").items()}
    name = str(meta.get("run_name") or folder.name)
    return tracked_run(
        FORMAT,
        f"{source.name.rstrip('/')}#{name}" if count > 1 else name,
        folder.as_posix(),
        metrics,
        {key: text.strip() for key, text in _texts(folder / "params").items()},
        meta.get("status"),
        skipped,
    )


def _texts(folder: Path) -> dict[str, str]:
    """Return {key: content}; a slash in a key is a folder."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _text(path) for path in files}


def _text(path: Path) -> str:
    return Source(path.as_posix(), path).text


def _points(text: str, key: str, skipped: list[Skipped]) -> list[tuple[int, float, int]]:
    """Decode lines of `time value step`; very old files have no step, newer ones may name a data set behind it."""
    points = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split(" ")
        try:
            if line.strip():
                points.append((counted(fields[0]), float(fields[1]), counted(fields[2]) if len(fields) > 2 else 0))
        except (ValueError, IndexError):
            skipped.append(Skipped(number, f"metrics/{key}: not `time value step`: {line[:40]!r}"))
    return points
