"""DVCLive: a folder with `plots/metrics/`, in which each metric has a TSV file of its own, `metrics.json` and `params.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

FORMAT = "dvclive"
OWNS_SUBFOLDERS = True
_METRICS = "plots/metrics/"
CALLS = (  # findings/dvclive-callback-counts-records.sh
    "transformers counts its records for steps here; those of the training follow from the epochs and logging_steps."
)
Metrics = Mapping[str, Sequence[tuple[int, float, int]]]


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder has the last values in `metrics.json`, and files of single metrics below `plots/metrics/`."""
    files = head.decode("utf-8", "replace").split("\n") if name.endswith("/") else []
    return "metrics.json" in files and any(file.startswith(_METRICS) and file.endswith(".tsv") for file in files)


def read(source: Source) -> list[RawLog]:
    """Read the files of all metrics as one run, with the parameters."""
    assert source.path is not None
    skipped: list[Skipped] = []
    folder, parameters = source.path / _METRICS, source.path / "params.yaml"
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in files_in(folder, "**/*.tsv")}
    metrics = {name: _points(name, path, skipped) for name, path in files.items()}
    timed = all(time >= 0 for points in metrics.values() for time, _, _ in points)
    settings = plain_yaml(Source(parameters.as_posix(), parameters).text) if parameters.is_file() else {}
    metrics = metrics if timed else _in_turn(metrics)
    of_calls = steps_of_the_trainer(metrics, settings)
    if of_calls:
        metrics = {name: [(t, v, of_calls.get(s, s)) for t, v, s in points] for name, points in metrics.items()}
    log = tracked_run(FORMAT, source.name, source.name, metrics, settings, None, skipped, timed=timed)
    return [replace(log, notes=(*log.notes, CALLS)) if of_calls else log]


def steps_of_the_trainer(metrics: Metrics, settings: Mapping[str, Any]) -> dict[int, int]:
    """Return {call: step} where the Trainer of transformers counted its calls to DVCLive for steps, {} elsewhere.

    >>> epochs, losses = [(0, 0.5, 0), (0, 1.0, 1), (0, 1.0, 2), (0, 1.5, 3)], [(0, 3.0, 0), (0, 2.0, 1), (0, 1.0, 3)]
    >>> settings = {"logging_steps": 10, "logging_strategy": "steps", "per_device_train_batch_size": 8}
    >>> steps_of_the_trainer({"epoch": epochs, "loss": losses}, settings)
    {0: 10, 1: 20, 2: 20, 3: 30}
    """
    every = settings.get("logging_steps")
    epochs = {step: epoch for _, epoch, step in metrics.get("epoch", ())}
    calls = [step for _, _, step in metrics.get("loss", ())]
    of_trainer = "per_device_train_batch_size" in settings and settings.get("logging_strategy") == "steps"
    if not (of_trainer and isinstance(every, int) and len(calls) > 1 and sorted(epochs) == list(range(len(epochs)))):
        return {}
    strides = sorted(epochs.get(b, 0.0) - epochs.get(a, 0.0) for a, b in zip(calls, calls[1:]))
    stride = strides[len(strides) // 2]
    if stride <= 0:
        return {}
    return {call: round(epoch / stride * every) for call, epoch in epochs.items()}


def _points(name: str, path: Path, skipped: list[Skipped]) -> list[tuple[int, float, int]]:
    """Return the (time in ms, value, step) of each line below the header; the time is -1 where none was asked for."""
    header, *lines = Source(path.as_posix(), path).text.splitlines() or [""]
    names = header.split("\t")
    points = []
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        named = dict(zip(names, cells))
        try:
            points.append((counted(named.get("timestamp", -1)), float(cells[len(names) - 1]), counted(named["step"])))
        except (KeyError, IndexError, ValueError):
            skipped.append(Skipped(number, f"{_METRICS}{name}.tsv: not a step and a value: {line[:40]!r}"))
    return points


def _in_turn(metrics: dict[str, list[tuple[int, float, int]]]) -> dict[str, list[tuple[int, float, int]]]:
    """Put a number in place of the time of each value: where its step stands among those of the fullest metric.

    So the values of a resumed run, whose steps go back in each file alone, stand behind all of the run before.
    """
    clock = [step for _, _, step in max(metrics.values(), key=len, default=[])]
    placed: dict[str, list[tuple[int, float, int]]] = {}
    for name, points in metrics.items():
        at, before, turns = 0, 0, placed.setdefault(name, [])
        for _, value, step in points:
            if step < before:  # resumed: the clock goes back, too
                at = next((k for k in range(at + 1, len(clock)) if clock[k] < clock[k - 1]), at)
            while at < len(clock) and clock[at] < step:
                at += 1
            turns.append((at, value, step))
            before = step
    return placed
