"""Dictionaries that the Hugging Face `Trainer` prints: `{'loss': 2.4137, 'learning_rate': 4.9e-05, 'epoch': 0.25}`.

Also of TRL, axolotl, unsloth, LLaMA-Factory and ms-swift. Since version 5 every number is a quoted string. The step is
not printed: it is taken from the progress bar beside the record, else from the epoch, else records are counted.
"""

from __future__ import annotations

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.table import STEP, Table
from lmdiag.run import Event

_DICT = lazy(r"\{['\"][A-Za-z_][^'\"]*['\"]: .*\}")
_ITEM = lazy(
    r"['\"]([^'\"]+)['\"]:\s*(?:(?:np\.\w+|(?:torch\.)?tensor|array)\(\[?([^(),\]]*)[^()]*\)|'([^']*)'|\"([^\"]*)\"|([^,{}\[\]]+))"
)
_BAR = lazy(r"(\d+)/(\d+) \[[\d:]+<")
_OTHER_BAR = lazy(
    r"(?!.*(?i:train|epoch|step|iter))\s*[A-Z][a-z]+[\w ]*[^%|]*: +\d+%\|"
)  # Loading weights, Map, Tokenizing
_NUMBER = lazy(rf"{NUM}$")
_FRACTION = lazy(r"(\d+)/(\d+)$")
_SUMMARY = {"train_runtime", "train_loss"}
_STEPS = ("step", "global_step", "current_steps", "global_step/max_steps")
_NUM_EPOCHS = lazy(r"^\s*(?:.*- |.*>> +)?Num Epochs = ([\d,]+)")
MARK = lazy(
    r"\{['\"](?:[a-z_/]*loss|eval_\w+|train_runtime|grad_norm|learning_rate|reward\w*)['\"]: .*['\"]epoch['\"]: |\{'loss': "
)


class ConsoleScanner:
    """Collects the dictionaries and the states of the progress bar next to them."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._waiting: list[int] = []  # rows that the next state of the bar belongs to
        self._bar_steps: dict[int, int] = {}
        self._shown = 0
        self._planned = 0
        self._epochs = 0.0
        self._epoch = 0.0
        self._ended = False
        self._coming = 0, 0  # the state of a bar behind the end of a training: of the next one, or of an evaluation
        self._parts: list[tuple[int, int]] = []  # rows before a further training begins, and its planned steps

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record or a state of the progress bar."""
        if "{" in piece and (match := _DICT.search(piece)):
            bar = _BAR.search(piece, 0, match.start())  # where nothing clears the bar the record stands behind it
            if bar:
                self._bar(int(bar[1]), int(bar[2]))
            return self._record(line, match[0], beside=bar is not None)
        if "/" in piece and "it" in piece and (bar := _BAR.search(piece)):
            if not _OTHER_BAR.match(piece):
                self._bar(int(bar[1]), int(bar[2]))
            return True
        if "Num Epochs" in piece and (epochs := _NUM_EPOCHS.search(piece)):
            self._epochs = number(epochs[1])
        if "{'" in piece and ("'loss'" in piece or "'eval_loss'" in piece):
            self._table.skip(line, f"torn record: {piece.strip()[:80]}")
            return True
        return False

    def _record(self, line: int, text: str, beside: bool) -> bool:
        values: dict[str, float] = {}
        words = {m[1]: (m[2] or m[3] or m[4] or m[5] or "").strip() for m in _ITEM.finditer(text)}
        for name, word in words.items():
            fraction = _FRACTION.match(word)
            if fraction and name in _STEPS:
                values[STEP], self._planned = number(fraction[1]), int(fraction[2])
            elif _NUMBER.match(word):
                values[STEP if name in _STEPS else name] = number(word)
        if not values or not any(self._known(name) for name in values):
            return False
        if words.keys() >= _SUMMARY:  # with token counts every record has a runtime
            self._table.happened(Event("end", None, text[:300], {"status": "completed", **values}))
            self._ended = True
            return True
        if self._ended and values.get("epoch", self._epoch) < self._epoch:
            self._begin_again()
        self._epoch = values.get("epoch", self._epoch)
        if not beside and not any(name.startswith("eval_") for name in values):
            self._waiting.append(len(self._table.lines))
        if self._shown:
            self._bar_steps[len(self._table.lines)] = self._shown
        self._table.add(line, values)
        return True

    @staticmethod
    def _known(name: str) -> bool:
        return (
            "loss" in name or name.startswith(("eval_", "reward", "train_")) or name in ("grad_norm", "learning_rate")
        )

    def _begin_again(self) -> None:
        """Note that the records from here on are of another training in the same log."""
        self._parts.append((len(self._table.lines), self._planned))
        self._shown, self._planned = self._coming
        self._ended, self._waiting = False, []

    def _bar(self, done: int, total: int) -> None:
        """Take the state of the training bar; the bar of an evaluation counts to another total."""
        if self._ended:
            self._coming = done, total
        if self._planned and total != self._planned:
            return
        self._planned, self._shown = total, done
        for row in self._waiting:
            self._bar_steps[row] = done
        self._waiting = []

    def finish(self) -> None:
        """Give every record a step."""
        table = self._table
        count = len(table.lines)
        if self._parts:
            self._plan_parts()
        elif self._planned:
            put_fact(table.config, "max_steps", self._planned)
        if not count or (STEP in table.columns and len(table.columns[STEP][0]) == count):
            return
        steps = self._by_bar(count)
        how = "the progress bar"
        if steps is None:
            steps, how = self._by_epoch(count), "the epoch"
        if steps is None:
            steps, how = self._by_count(count), ""
            table.config["step_kind"] = "record"
        table.put(STEP, steps)
        table.notes.append(
            f"steps are inferred from {how}" if how else "the log prints no steps; its records are counted"
        )
        table.happened(Event("inferred", None, f"steps from {how or 'counting records'}"))

    def _by_bar(self, count: int) -> np.ndarray | None:
        steps = np.array([self._bar_steps.get(row, 0) for row in range(count)], float)
        train = self._is_train(count)
        good = (
            len(np.unique(steps[train])) >= 0.8 * len(np.unique(self._table.cells("epoch")[train]))
            if train.any()
            else True
        )
        return steps if self._bar_steps and good and (steps > 0).mean() > 0.9 else None

    def _by_epoch(self, count: int) -> np.ndarray | None:
        planned = self._table.config.get("max_steps")
        epoch = self._table.cells("epoch")
        if not planned or not self._epochs or np.isnan(epoch).any():
            return None
        steps = np.maximum(np.round(epoch / self._epochs * planned), 1)
        train = np.flatnonzero(self._is_train(count))
        if len(train) > 2:  # epochs are rounded; equally spaced records tell the steps exactly
            every = np.median(np.diff(steps[train]))
            snapped = np.round(steps / every) * every if every >= 1 else steps
            steps = np.where((np.abs(snapped - steps) <= planned * 0.01) & (snapped > 0), snapped, steps)
        return steps

    def _by_count(self, count: int) -> np.ndarray:
        parts = np.split(self._is_train(count), [row for row, _ in self._parts])
        return np.concatenate([np.maximum(np.cumsum(part), 1) for part in parts]).astype(float)

    def _plan_parts(self) -> None:
        """Give the records of each training the steps that were planned for it."""
        starts = [0, *(row for row, _ in self._parts), len(self._table.lines)]
        plans = [*(planned for _, planned in self._parts), self._planned]
        self._table.totals = np.repeat(np.asarray(plans, float), np.diff(starts))

    def _is_train(self, count: int) -> np.ndarray:
        evaluated = np.zeros(count, bool)
        for name, (rows, _) in self._table.columns.items():
            if name.startswith("eval_"):
                evaluated[rows] = True
        return ~evaluated


HF_CONSOLE = LineFormat(
    "huggingface-console",
    "Hugging Face Trainer, printed dictionaries",
    ConsoleScanner,
    (("{'", MARK), ('{"', MARK)),
    names={"eval_loss": "val/loss"},
    reductions={"loss": "window_mean"},
)
