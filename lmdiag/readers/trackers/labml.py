"""labml: `log.jsonl` of a run, which has each metric with its steps and values, `configs.yaml` and `run_log.jsonl` beside it.

{"track": {"loss.train": [[1, [9.24]], [2, [8.55]]], "loss.valid": [[10, [5.44]]]}}
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lmdiag.readers.json.decode import Lost, decode
from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tables.tally import Tally
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.run import Skipped

FORMAT = "labml"
_STATUS = {"completed": "FINISHED", "crashed": "FAILED", "interrupted": "KILLED"}
_A_LINE = 1e12  # more than the steps of any run: what stands on a later line was logged later


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the first line tracks metrics as labml does."""
    return head.lstrip().startswith(b'{"track": {"')


def read(source: Source) -> list[RawLog]:
    """Read the values of every metric, with the mean of those that were added before one was saved."""
    metrics: dict[str, list[tuple[int, float, int]]] = {}
    skipped: list[Skipped] = []
    tally = Tally()
    tally.count_lines(source.text)
    for line, text in enumerate(source.text.splitlines(), 1):
        found = decode(text) if text.strip() else {}
        tracked = found.get("track") if isinstance(found, dict) else None
        tally.count(2 if tracked else 1 if text.strip() else 0, 1)
        if not isinstance(tracked, dict):
            skipped += [Skipped(line, _why(found))] if text.strip() else []
            continue
        for name, points in tracked.items():
            metrics.setdefault(name, []).extend(_points(line, name, points, skipped))
    folder = source.path.parent if source.path else None
    settings = _configs(folder / "configs.yaml") if folder else {}
    status = _status(folder / "run_log.jsonl") if folder else ""
    name = folder.name if folder else source.name
    log = tracked_run(FORMAT, name, source.name, metrics, settings, status, skipped, timed=False)
    return [replace(log, tally=tally)]


def _why(found: Any) -> str:
    lost = [part.reason for part in found if isinstance(part, Lost)] if isinstance(found, list) else []
    return lost[0] if lost else "no metrics are tracked"


def _points(line: int, name: str, points: Any, skipped: list[Skipped]) -> Iterator[tuple[int, float, int]]:
    """Yield (when, value, step) of each point, which is a step and the list of its values."""
    for point in points if isinstance(points, list) else [points]:
        try:
            said, values = point
            step = counted(said)
            mean = math.fsum(values) / len(values) if len(values) > 1 else float(values[0])
            yield int(line * _A_LINE) + step, mean, step
        except (ValueError, TypeError, IndexError, KeyError, OverflowError):
            skipped.append(Skipped(line, f"{name}: not a step and its values: {str(point)[:40]!r}", unit="value"))


def _configs(path: Path) -> dict[str, Any]:
    """Return what the configurations were computed to be."""
    if not path.is_file():
        return {}
    facts = plain_yaml(Source(path.as_posix(), path).text)
    return {name: own["computed"] for name, own in facts.items() if isinstance(own, dict) and "computed" in own}


def _status(path: Path) -> str:
    """Return how the run ended, as its last status says."""
    found = re.findall(r'"status": "(\w+)"', Source(path.as_posix(), path).text) if path.is_file() else []
    return _STATUS.get(found[-1], "") if found else ""
