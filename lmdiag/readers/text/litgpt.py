"""litgpt and lit-gpt: several micro-batches per optimizer step, of which the one that made the update is kept."""

from __future__ import annotations

import numpy as np

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.table import STEP, Table
from lmdiag.run import Event

_TRAIN = lazy(
    rf"(?:Epoch (?P<epoch>\d+) \| )?\biter (?P<iter>\d+) step (?P<step>\d+)(?: \||:) (?:loss train: |loss )(?P<loss>{NUM}),"
    rf"(?: val: \S+ \|)? iter time:\s+(?P<time>{NUM})\s?ms(?P<update> \((?:optimizer\.)?step\))?"
)
_EVALUATION = lazy(rf"\biter (?P<iter>\d+): val loss (?P<loss>{NUM}), val time: (?P<time>{NUM})\s?ms")
_FINAL = lazy(rf"Final evaluation \| val loss: (?P<loss>{NUM})")
_LOOKS = lazy(r"\biter \d+ step \d+(?: \||:) loss|\biter \d+: val loss")


class LitScanner:
    """Reads training and evaluation lines; the `val:` of a training line repeats an older evaluation and is none."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._updates: list[bool] = []
        self._step = 0.0

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if "loss" not in piece:
            return False
        text, rank = payload(piece)
        if match := _TRAIN.search(text):
            self._step = number(match["step"])
            values = {STEP: self._step, "loss": number(match["loss"]), "iter time": number(match["time"])}
            if match["epoch"]:
                values["epoch"] = number(match["epoch"])
            self._add(line, values, rank, match["update"] is not None)
        elif match := _EVALUATION.search(text):
            values = {STEP: self._step, "val loss": number(match["loss"]), "val time": number(match["time"])}
            self._add(line, values, rank, True)
        elif match := _FINAL.search(text):
            self._table.happened(
                Event("final_evaluation", self._table.last_step, text, {"loss": number(match["loss"])})
            )
        elif _LOOKS.search(text):
            self._table.skip(line, f"looks like a record and is none: {text[:80]}")
        else:
            return False
        return True

    def _add(self, line: int, values: dict[str, float], rank: int | None, update: bool) -> None:
        self._updates.append(update)
        self._table.add(line, values, rank)

    def finish(self) -> None:
        """Keep one record per optimizer step where the log marks the micro-batch that made the update."""
        updates = np.array(self._updates, bool)
        trained = np.zeros(len(updates), bool)
        trained[self._table.columns.get("loss", ([], []))[0]] = True
        if (updates & trained).any() and not updates.all():
            self._table.notes.append(f"{int((~updates).sum())} records of micro-batches without an update left out")
            self._table.keep(updates)


LITGPT = LineFormat(
    "litgpt",
    "litgpt, lit-gpt",
    LitScanner,
    (("iter ", _TRAIN),),
    names={"val loss": "val/loss", "iter time": "step_time_s", "val time": "val/eval_time_s"},
    units={"iter time": "ms", "val time": "ms"},
)
