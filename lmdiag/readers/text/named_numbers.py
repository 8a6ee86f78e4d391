"""The scanner of lines with named numbers: which are records, where in the run they stand, and what their columns mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from lmdiag.metrics import METRICS, unit_scale
from lmdiag.naming import spelling
from lmdiag.readers.text.epochs import unroll
from lmdiag.readers.text.guesses import guess_loss, guess_step
from lmdiag.readers.text.named_number_line import MEASURES, Line, parse
from lmdiag.readers.text.names import canonical, of_training
from lmdiag.readers.text.no_records import is_after_training, is_code
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.run_labels import ModelNames
from lmdiag.readers.text.scanner import Scanner
from lmdiag.readers.text.several_records import records_in
from lmdiag.readers.text.spellings import rewritten
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table
from lmdiag.run import Event

_WORTH_A_LOOK = lazy(r"\d|nan|inf")
_SUMMARY = "train_runtime"  # what the Trainer prints at the end of a training
_ABOUT_A_CHECKPOINT = lazy(r"\b(?:sav(?:ed|ing)|checkpoint|best|improv\w+)\b", re.IGNORECASE)
_END_OF_EPOCH = lazy(r"\b(?:complet\w*|finish\w*|done|ended|end of|results?|summary)\b", re.IGNORECASE)
_PLURAL = ("steps", "iterations", "iters", "batch", "batches", "updates")  # how many there will be, or how large one is
UNIX_TIMES = 1e8
FEW_LINES = 3
_OF_A_SET = ("loss", "ppl", "accuracy", "bpb", "bpc")
_ANNOUNCED = lazy(r"\W*(?:\w+ing )?(train|val|eval|test|dev)[a-z]*\b[A-Za-z ]{0,24}\W*$", re.IGNORECASE)
FEWEST_RECORDS = 3


def is_record(line: Line) -> bool:
    """Tell whether named numbers are those of a training record: a place and a metric, or at least a loss."""
    if line.placed:
        return line.judged or (line.core and line.step is not None and line.counter not in _PLURAL)
    return line.strong and (line.measured or (line.judged and bool(line.split)))


def looks_like_record(piece: str) -> bool:
    """Tell whether a piece names a place and a metric."""
    if not _WORTH_A_LOOK.search(piece) or is_code(piece):
        return False
    return is_record(parse(payload(piece)[0]))


class PairScanner:
    """Reads every line that names a step, epoch or place and a metric one knows a training run by.

    Losses without any place take the place of the line before, unless such losses are printed with a place too: then
    they are results of something else (`Test loss of the best checkpoint: …`) and become events.
    """

    def __init__(self, table: Table, text: str, placed_only: bool = False) -> None:
        self._table = table
        self._placed_only = placed_only
        self._epoch: float | None = None
        self._loose: dict[int, Line] = {}  # rows without a place of their own
        self._open: list[int] = []  # rows since an epoch was named last
        self._closed: float | None = None  # the last epoch that a line closed
        self._last_line = 0
        self._headline = -FEW_LINES  # the line that announced an epoch, or the last record below it
        self._section = ""  # the set that a line of its own announced: "Evaluating ..."
        self._plain: set[tuple[str, ...]] = set()  # names that need not be told apart
        self._called: dict[
            str, tuple[str, bool]
        ] = {}  # name of a loss -> what it was short for at first, with a place or not
        self._placed: dict[str, set[str]] = {}  # losses that are printed with a place -> as what
        self._units: dict[str, Counter[str]] = {}
        self._models = ModelNames()
        table.config["percent"] = "%)]" in text

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if not _WORTH_A_LOOK.search(piece):
            self._enter(piece)
            return False
        records = records_in(piece)
        if len(records) == 1:
            return self._feed(line, piece)
        taken = [self._feed(line, record) for record in records]
        return any(taken)

    def _feed(self, line: int, piece: str) -> bool:
        text, rank = payload(piece)
        found = parse(text)
        if not found.core:
            self._remember(line, found, text)
            return False
        if is_code(text) or _SUMMARY in text:
            return False
        if is_after_training(text):
            return found.measured and self._result(found, text)
        if not (is_record(found) or self._continues(line, piece, found) or self._below_headline(line, found)):
            return False
        if not found.placed and _ABOUT_A_CHECKPOINT.search(rewritten(text)):
            return False
        if found.placed or not self._placed_only:
            closes = self._closes(found, text)
            if closes:
                self._close_epoch(found)
            if found.epoch is not None:
                self._models.see(text, line)
            self._take(line, found, rank)
            if closes:
                self._epoch, self._closed = None, found.epoch
            return True
        return self._result(found, text)

    def _continues(self, line: int, piece: str, found: Line) -> bool:
        """Whether an indented line holds further numbers of the record above it."""
        return piece[0].isspace() and not found.placed and 0 <= line - self._last_line <= 1

    def _below_headline(self, line: int, found: Line) -> bool:
        """Whether a line with a loss stands right below one that announced its epoch."""
        below = found.judged and not found.placed and 0 < line - self._headline <= FEW_LINES
        self._headline = line if below else self._headline
        return below

    def _remember(self, line: int, found: Line, text: str) -> None:
        """Keep the epoch that a headline such as `Epoch 3/10` announces for the lines below it."""
        if found.epoch is not None and found.epoch == int(found.epoch) and len(text) < 200:
            self._epoch, self._headline, self._section = found.epoch, line, ""

    def _enter(self, piece: str) -> None:
        """Keep the set that a line such as `Evaluating ...` announces for the lines below it."""
        found = _ANNOUNCED.match(piece) if len(piece) < 60 else None
        if found:
            word = found[1].lower()
            self._section = "" if word.startswith("train") else "test" if word.startswith("test") else "val"

    def _of_section(self, found: Line) -> dict[str, float]:
        """Return the values of a line, under the set that was announced above it where it names none itself."""
        if found.placed or not self._section or found.split:
            return dict(found.values)
        measured = {name for name in found.values if (canonical(name) or ("",))[0] in _OF_A_SET}
        return {
            f"{self._section} {name}" if name in measured and not of_training(name) else name: value
            for name, value in found.values.items()
        }

    def _result(self, found: Line, text: str) -> bool:
        if self._table.lines:
            self._table.happened(Event("final_evaluation", self._table.last_step, text[:300], dict(found.values)))
        return bool(self._table.lines)

    def _take(self, line: int, found: Line, rank: int | None) -> None:
        values = self._in_full(found, self._of_section(found))
        if found.placed:
            self._section = ""
        if found.step is not None:
            values[STEP] = found.step
        if found.position is not None:
            values[POSITION] = found.position
        self._follow_epoch(found, values)
        for name, unit in found.units.items():
            self._units.setdefault(name, Counter())[unit] += 1
        if found.placed:
            for name, metric in _losses(found).items():
                self._placed.setdefault(metric, set()).add(name)
        else:
            self._loose[len(self._table.lines)] = found
        if found.samples:
            self._table.config["step_kind"] = "samples"
        self._table.add(line, values, rank, found.total)
        self._last_line = line
        if found.epochs:
            self._table.config.setdefault("epochs", int(found.epochs))

    def _in_full(self, found: Line, values: dict[str, float]) -> dict[str, float]:
        """Keep `loss` and `NCE loss` apart where some lines print the one and some the other.

        The first gets the name `loss`, but for a line without a place, such as a result before training.
        """
        names = tuple(values)
        if names in self._plain and not found.shortened:
            return values
        for name in _losses_among(names):
            whole = found.shortened.get(name, name)
            first, placed = self._called.setdefault(name, (whole, found.placed))
            if found.placed and not placed and first not in (name, whole):
                self._table.columns[first] = self._table.columns.pop(name)
                first = whole
                self._called[name] = whole, True
            if first != whole:
                values[whole if whole != name else f"printed {name}"] = values.pop(name)
        if not found.shortened and tuple(values) == names:
            self._plain.add(names)
        return values

    def _follow_epoch(self, found: Line, values: dict[str, float]) -> None:
        if found.epoch is not None:
            self._epoch = found.epoch
            self._open = []
        if self._epoch is None:
            self._open.append(len(self._table.lines))
        else:
            values[EPOCH] = self._epoch

    def _closes(self, found: Line, text: str) -> bool:
        """Whether a record of a whole epoch stands behind those of the epoch, and not before them."""
        if found.epoch is None or found.step is not None or found.position is not None:
            return False
        return bool(self._open) or found.epoch == self._closed or bool(_END_OF_EPOCH.search(rewritten(text)))

    def _close_epoch(self, found: Line) -> None:
        """Number the rows of the epoch that a line such as `Epoch 3 done, mean loss 2.1` closes."""
        rows, values = self._table.columns.setdefault(EPOCH, ([], []))
        rows.extend(self._open)
        values.extend([found.epoch or 0.0] * len(self._open))

    def finish(self) -> None:
        """Decide on rows without a place, make one step of all counters, and name the columns."""
        self._settle_loose()
        self._table.starts = self._models.starts()
        guess_step(self._table)
        before = self._table.cells(STEP)
        unroll(self._table)
        self._table.move_events(before)
        self._table.config.pop("percent", None)
        guess_loss(self._table)
        name_columns(self._table, {name: units.most_common(1)[0][0] for name, units in self._units.items()})

    def _settle_loose(self) -> None:
        """Make results of the rows without a place whose losses are also printed with a place, unless they recur."""
        often = Counter(name for line in self._loose.values() for name in _losses(line))
        if len(self._loose) == len(self._table.lines) and max(often.values(), default=0) < FEWEST_RECORDS:
            self._table.keep(np.zeros(len(self._table.lines), bool))  # results, and no curve
            return
        recurring = Counter(name for line in self._loose.values() for name in line.values)
        results = {
            row: line
            for row, line in self._loose.items()
            if any(m in self._placed and (n in self._placed[m] or recurring[n] < 2) for n, m in _losses(line).items())
        }
        if not results:
            return
        table = self._table
        for row, found in results.items():
            table.events.append(Event("final_evaluation", None, "", dict(found.values)))
            table.event_rows.append(row)
        table.notes.append(f"{len(results)} losses without a step were taken as results, not as part of the curve")
        table.keep(np.array([row not in results for row in range(len(table.lines))]))


def _losses(line: Line) -> Mapping[str, str]:
    """Return the canonical metric of each loss, perplexity or bits by its printed name."""
    return _losses_among(tuple(line.values))


@lru_cache(maxsize=1024)
def _losses_among(names: tuple[str, ...]) -> Mapping[str, str]:
    found = {name: metric[0] for name in names if (metric := canonical(name))}
    return {name: metric for name, metric in found.items() if metric.rpartition("/")[2] in MEASURES}


def _clock(named: str, values: Sequence[float], unit: str) -> str:
    """Return what a column called "time" holds: dates, the time since the start, the time of a step, or another one."""
    if len(values) < 3 and named != "time":
        return named
    finite = [value for value in values if value == value]
    if finite and min(finite) > UNIX_TIMES:
        return "time"
    if unit in ("ms", "us", "µs"):
        return "step_time_s"
    ascends = len(finite) > 2 and all(a <= b for a, b in zip(finite, finite[1:])) and finite[0] < finite[-1]
    return "elapsed_s" if ascends else "duration_s"


def name_columns(table: Table, units: Mapping[str, str]) -> None:
    """Say which canonical metric each column is, and bring the units it was printed with to those of the metric.

    Of two columns for one metric the fuller gets it, then one of its very name, then the earlier; the other keeps its own name.
    """
    taken: dict[str, str] = {}
    for name in sorted(table.columns, key=lambda name: (-len(table.columns[name][0]), name not in METRICS)):
        if name in (STEP, EPOCH):
            continue
        metric = table.names.get(name) or (canonical(name) or (name, 1.0))[0]
        if metric in ("time", "elapsed_s") and name not in table.names:
            metric = _clock(metric, table.columns[name][1], units.get(name, ""))
        if taken.setdefault(metric, name) != name:
            rarer = 2 * len(table.columns[name][0]) <= len(table.columns[taken[metric]][0])
            estimate = rarer and metric == "loss" and of_training(name) and taken.setdefault("train/loss", name) == name
            table.names[name] = "train/loss" if estimate else name if name not in METRICS else f"printed {name}"
            continue
        if name not in table.names and spelling(name).name != metric and metric != name:
            table.names[name] = metric
        if name in units:
            table.units.setdefault(name, units[name])
        if name in table.names and unit_scale(metric, table.units.get(name, "")) == 1.0:
            table.scales.setdefault(name, (canonical(name) or ("", 1.0))[1])


def paired(placed_only: bool = False) -> Callable[[Table, str], Scanner]:
    """Return what makes a scanner of named numbers; with `placed_only` a loss without a step is never a record."""
    return lambda table, text: PairScanner(table, text, placed_only)
