"""DeepSpeed without a program that prints more: step lines, timer lines, and those of its pipeline engine."""

from __future__ import annotations

import re

import numpy as np

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.scanner import Shape, ShapeScanner, Values
from lmdiag.readers.text.table import STEP, Table

_PIPELINE = Shape(
    "steps:",
    lazy(
        rf"steps: (?P<step>\d+) loss: (?P<loss>{NUM}) iter time \(s\): (?P<iter_time>{NUM}) samples/sec: (?P<samples_per_sec>{NUM})"
    ),
)


def _step(match: re.Match[str], table: Table) -> Values:
    first = re.match(NUM, match["lrs"].strip())
    rate = {"lr": number(first[0])} if first else {}
    return {STEP: number(match["step"]), "skipped so far": number(match["skipped"]), **rate}


_STEP_LINE = Shape("skipped=", lazy(r"step=(?P<step>\d+), skipped=(?P<skipped>\d+), lr=\[(?P<lrs>[^\]]*)\]"), _step)


def _timer(match: re.Match[str], table: Table) -> Values:
    found = re.findall(rf"(CurrSamplesPerSec|MemAllocated|MaxMemAllocated)=({NUM})", match["rest"])
    return {STEP: number(match["step"]), **{name: number(word) for name, word in found}}


_TIMER = Shape("global_step=", lazy(r"/global_step=(?P<step>\d+), (?P<rest>RunningAvgSamplesPerSec.*)$"), _timer)


class DeepSpeedScanner(ShapeScanner):
    """Also turns the number of steps skipped so far into those skipped since the record before."""

    def __init__(self, table: Table, text: str) -> None:
        super().__init__((_PIPELINE, _STEP_LINE, _TIMER), table)

    def finish(self) -> None:
        """Take differences of the cumulative count."""
        rows, values = self._table.columns.pop("skipped so far", ([], []))
        if rows:
            again = np.flatnonzero(np.diff(self._table.cells(STEP)[rows]) < 0) + 1
            # Of two engines that count in one log, an actor and a critic, the one that skips more is followed.
            most = np.concatenate([np.maximum.accumulate(part) for part in np.split(np.asarray(values), again)])
            since = np.diff(most, prepend=0.0)
            self._table.columns["skipped"] = (rows, np.where(since < 0, most, since).tolist())


DEEPSPEED = LineFormat(
    "deepspeed",
    "DeepSpeed",
    DeepSpeedScanner,
    (("steps:", _PIPELINE.pattern),),
    names={
        "CurrSamplesPerSec": "samples_per_sec",
        "MaxMemAllocated": "mem_bytes",
        "MemAllocated": None,
        "iter_time": "step_time_s",
    },
    units={"MaxMemAllocated": "GB"},
)
