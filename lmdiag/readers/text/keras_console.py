"""Keras and TensorFlow progress lines: of all redraws of an epoch the last one counts."""

from __future__ import annotations

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.table import STEP, Table

_EPOCH = lazy(r"^Epoch (\d+)/(\d+)\s*$")
_PROGRESS = lazy(r"^\s*(\d+)/(\d+|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-)\s?(?P<rest>.*)$")
_ITEM = lazy(rf" - (\w+): ({NUM})(?=\s|$)")
_STEP_TIME = lazy(rf"({NUM})(us|ms|s)/step")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class KerasScanner:
    """Keeps the last state of each epoch's progress line."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._epoch = 1.0
        self._state: tuple[int, float, float, dict[str, float]] | None = None
        self._longest = 0.0

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was an epoch's head or progress."""
        text = payload(piece)[0] if not piece[:1].isdigit() else piece
        if head := _EPOCH.match(text):
            self._close()
            self._epoch = number(head[1])
            self._table.config.setdefault("epochs", int(head[2]))
            return True
        progress = _PROGRESS.match(text) if "/" in text else None
        if progress is None:
            return False
        values = {name: number(word) for name, word in _ITEM.findall(" " + progress["rest"])}
        done, total = number(progress[1]), number(progress[2]) if progress[2].isdigit() else 0.0
        if self._state and done < self._state[1]:
            self._close()
        if values:
            if step_time := _STEP_TIME.search(progress["rest"]):
                values["step_time_s"] = number(step_time[1]) * _SECONDS[step_time[2]]
            self._state = (line, done, total, values)
        return True

    def _close(self) -> None:
        """Add the last state as the record of its epoch; an epoch that was cut short is counted as skipped."""
        if self._state is None:
            return
        line, done, total, values = self._state
        self._state = None
        if total and done < total:
            self._table.skip(line, f"epoch {self._epoch:g} stopped at {done:g} of {total:g} steps")
            return
        self._longest = max(self._longest, total or done)
        self._table.add(line, {STEP: self._epoch, "epoch": self._epoch, **values})
        self._epoch += 1

    def finish(self) -> None:
        """Close the last epoch, and count steps where every epoch says how many it has."""
        self._close()
        rows, epochs = self._table.columns.get(STEP, ([], []))
        if self._longest:
            self._table.columns[STEP] = (rows, [epoch * self._longest for epoch in epochs])
        else:
            self._table.config["step_kind"] = "epoch"


KERAS_CONSOLE = LineFormat(
    "keras-console",
    "Keras, printed progress",
    KerasScanner,
    (("/", lazy(r"^\s*\d+/(?:\d+|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-) .*- \w+: ")),),
    reductions={"loss": "epoch_mean"},
)
