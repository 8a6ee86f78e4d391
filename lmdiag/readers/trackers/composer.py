"""Composer's `FileLogger`: one line for each metric, between those of the console that it captures.

    [hyperparameter]: max_duration: "4ep"
    [metric][batch=0]: loss/train/total: 9.2387
    [stderr]: train          Epoch   0:   10%|██▌   | 1/10 [00:00<00:00, 38.70ba/s]…lr-SGD/group0: 0.0004
    [metric][batch=1]: l2_norm/grad/global: 1.0841

Behind a bar, which ends no line, the first metric of a call loses its mark: here the learning rate of batch 1.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.rawlog import Column, RawLog, Source
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.text.blocks import COMPOSER
from lmdiag.readers.trackers.names import translations

FORMAT = "composer"
_MARKED = re.compile(rf"\[metric\]\[batch=(?P<step>\d+)\]: (?P<name>.+?): (?P<number>{NUM})")
_NO_NUMBER = re.compile(r"\[metric\]\[batch=\d+\]: .+: (?:None|\"|\[|\{|Tensor of shape)")
_BEHIND_A_BAR = re.compile(rf"\[std(?:err|out)\]: .*\x1b\[A(?P<name>[A-Za-z][\w./-]*): (?P<number>{NUM})")
_SETTING = re.compile(r"\[hyperparameter\]: (?P<name>[^:]+): (?P<value>.*)")
_CAPTURED = re.compile(r"\[std(?:err|out)\]: ")
_OF_THE_BATCH_UNDER_WAY = ("loss/train/", "metrics/train/", "trainer/")  # logged before the batch is counted
_TIMES = re.compile(r"time/(?:batch|train|val|total|remaining_estimate|\w+_in_epoch)")  # counters, and hours
_FOUR_DECIMALS = 0.01  # learning rates below this are not readable with four decimals
_TOO_LONG = 16  # digits of a step
_DURATION = re.compile(r"(?P<count>\d+)(?P<unit>ba|ep)")


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the lines are marked as Composer marks them."""
    return re.search(rb"^\[metric\]\[batch=\d+\]: ", head, re.MULTILINE) is not None


def read(source: Source) -> list[RawLog]:
    """Read the metrics of each batch, the hyperparameters, and what the console said beside them."""
    from lmdiag.readers.messages import EventWatcher
    from lmdiag.readers.tables.table import STEP, Table

    metrics, table, settings = _Metrics(), Table(), dict[str, Any]()
    console, tally = EventWatcher(table), metrics.rows.tally
    tally.count_lines(source.text)
    for line, content in enumerate(source.text.removesuffix("\n").split("\n"), 1):
        content = content.rstrip(" \r")
        match = _MARKED.fullmatch(content)
        if match and len(match["step"]) < _TOO_LONG:
            metrics.add(line, int(match["step"]), match["name"], number(match["number"]))
            table.add(line, {STEP: int(match["step"])})
            tally.with_records += 1
        elif match := _SETTING.fullmatch(content):
            settings[match["name"]] = _literal(match["value"])
            tally.text += 1
        elif content.startswith("[metric]") and not _NO_NUMBER.match(content):
            metrics.rows.skip(line, f"not a metric and its value: {content[:80]!r}")
            tally.lost += 1
        else:
            if match := _BEHIND_A_BAR.fullmatch(content):
                metrics.wait(line, match["name"], number(match["number"]))
                tally.with_records += 1
            elif content.strip():
                tally.text += 1
            else:
                tally.blank += 1
            for piece in _CAPTURED.sub("", content).split("\r"):
                console.see(piece)
    console.finish()
    rows = metrics.finish()
    log = rows.log(FORMAT, source.name, source=source.name, settings=settings, config=_plan(rows, settings))
    lost = _rounded_rates(log.columns)
    return [
        replace(
            log,
            step_column="step",
            events=tuple(table.events),
            names={**translations(log.columns), **COMPOSER.names, "time/epoch": "epoch", **dict.fromkeys(lost)},
            unused={**log.unused, **dict.fromkeys(lost, "it is printed with four decimals, too few to be read")},
        )
    ]


class _Metrics:
    """The metrics so far, a row for each step."""

    def __init__(self) -> None:
        self.rows = Rows()
        self._row: dict[str, float] = {}
        self._line = 0
        self._waiting: list[tuple[int, str, float]] = []  # without their batch

    def add(self, line: int, batch: int, name: str, value: float) -> None:
        """Add a metric that was logged when so many batches were counted; those that wait are of the same call."""
        for early in self._waiting:
            self._put(batch, *early)
        self._waiting = []
        self._put(batch, line, name, value)

    def wait(self, line: int, name: str, value: float) -> None:
        """Add a metric of the batch that the next line tells."""
        self._waiting.append((line, name, value))

    def finish(self) -> Rows:
        """Return the rows."""
        self._close()
        return self.rows

    def _put(self, batch: int, line: int, name: str, value: float) -> None:
        if _TIMES.fullmatch(name):
            return
        step = batch + name.startswith(_OF_THE_BATCH_UNDER_WAY)
        if self._row.get("step") != step or name in self._row:
            self._close()
            self._row, self._line = {"step": step}, line
        self._row[name] = value

    def _close(self) -> None:
        if len(self._row) > 1:
            self.rows.add(self._row, self._line)


def _rounded_rates(columns: Mapping[str, Column]) -> list[str]:
    """Return the learning rates that four decimals cannot show."""
    return [name for name, c in columns.items() if name.startswith("lr-") and np.nanmax(c.values) < _FOUR_DECIMALS]


def _plan(rows: Rows, settings: Mapping[str, Any]) -> dict[str, int]:
    """Return the steps that were planned, where the hyperparameters say so, in batches or in epochs whose length is known."""
    planned = _DURATION.fullmatch(str(settings.get("max_duration")))
    if planned is None:
        return {}
    epochs, steps = rows.columns.get("time/epoch"), rows.columns.get("step")
    of_epoch = 0.0
    if epochs and steps and 0 < epochs.values[-1] < np.inf:
        of_epoch = steps.values[epochs.rows[-1]] / epochs.values[-1]
    count = float(planned["count"]) * (1 if planned["unit"] == "ba" else of_epoch)
    return {"max_steps": int(count)} if 0 < count < np.inf else {}


def _literal(value: str) -> Any:
    """Return a hyperparameter as it was before it was written."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
