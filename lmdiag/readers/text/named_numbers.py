"""The scanner of lines with named numbers: which are records, where in the run they stand, and what their columns mean."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Container

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import guess_loss, guess_step, is_split, metric_of, name_columns, of_training
from lmdiag.readers.tables.runs import unroll
from lmdiag.readers.tables.table import EPOCH, POSITION, ROW, STEP, TOTAL, Table
from lmdiag.readers.text.evaluation_numbers import are_of_epochs, place_in_run, settle
from lmdiag.readers.text.named_lines import EPOCHS, WORTH_A_LOOK, said_in
from lmdiag.readers.text.named_number_line import MEASURES, Line
from lmdiag.readers.text.numbers_below import NumbersBelow
from lmdiag.readers.text.plans import Plan, Plans
from lmdiag.readers.text.record_lines import ModelNames
from lmdiag.readers.text.value_units import ValueUnits
from lmdiag.run import Event, Skipped

FEW_LINES = 3
_OF_A_SET = ("loss", "ppl", "accuracy", "bpb", "bpc")
_ANNOUNCED = lazy(
    r"\W*(?:\w+ing )?(train|val|eval|test|dev)[a-z]*\b[A-Za-z -]{0,24}(?<=[a-z -])(?:\b(?:step|iter|iteration|epoch)\W*\d+(?:/\d+)?)?\W*$",
    re.IGNORECASE,
)
_OF_EACH_SET = lazy(rf"\s*([A-Za-z][\w ]*?)[\s:]+({NUM}(?:\s+{NUM})+)\s*")  # loss  3.2  3.4
SPARE = "a number of a record that no known name stands before, or that comes twice"
MICRO = "a loss without a step, or a number beside it: each step has a loss of its own below"
FEWEST_RECORDS = 3
LONGEST_BLOCK = 30  # lines from one that announces a step to the loss of that step


class PairScanner:
    """Reads every line that names a step, epoch or place and a metric one knows a training run by.

    Losses without any place take the place of the line before, unless such losses are printed with a place too: then
    they are results of something else (`Test loss of the best checkpoint: …`) and become events, as all are with `placed_only`.
    """

    def __init__(self, table: Table, text: str, placed_only: bool = False) -> None:
        self.plans = Plans(said_in)
        self._table = table
        self._placed_only = placed_only
        self._epoch: float | None = None
        self._place: dict[str, float] = {}  # that a line of its own announced
        self._loose: dict[int, tuple[dict[str, float], Line]] = {}  # rows without a place of their own
        self.open = array(ROW)  # rows since an epoch was named last
        self._closed: float | None = None  # the last epoch that a line closed
        self._at: tuple[float | None, float | None] = None, None  # step and epoch of the last record that has a step
        self._announced: tuple[float, int] | None = None  # a step that stands alone, and its line
        self._below: dict[int, float] = {}  # rows without a place -> the step announced above them
        self._last_line = 0
        self._headline = -FEW_LINES  # the line that announced an epoch, or the last record below it
        self._sets: list[str] = []  # those that the head `train  valid` names for the numbers of each line below it
        self._section = ""  # the set that a line of its own announced: "Evaluating ..."
        self._section_has_step = False  # "Evaluation at step 100", or epoch
        self._plain: set[tuple[str, ...]] = set()  # names that need not be told apart
        # Name of a loss -> what it was short for at first, and if placed.
        self._called: dict[str, tuple[str, bool]] = {}
        self._spelt: dict[tuple[str, ...], tuple[str, ...]] = {}  # names in lower case -> as the log wrote them first
        self._spare = 0
        self._first_spare = 0  # the line of the first number that nothing names
        self._unplaced: list[int] = []  # lines with a loss and no place, of which nothing says what they are
        self._lists: list[int] = []  # lines with a list of losses
        self._placed: dict[str, set[str]] = {}  # losses that are printed with a place -> as what
        self._of_steps: set[str] = set()  # names of the loss that are printed with a step
        self._below_epoch = False  # a loss without a place stood right below an announced epoch
        self._numbered: set[int] = set()  # lines of evaluations that have a number
        self._units = ValueUnits()
        self._models = ModelNames()
        self._below_records = NumbersBelow()
        table.config["percent"] = "%)]" in text

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if not WORTH_A_LOOK.search(piece):
            self._enter(text := payload(piece)[0])
            words = text.lower().split()
            self._sets = words if len(words) > 1 and all(map(is_split, words)) else self._sets
            return False
        if self._sets and (row := _OF_EACH_SET.fullmatch(piece)) and len(row[2].split()) == len(self._sets):
            piece = ", ".join(f"{split} {row[1]}: {number}" for split, number in zip(self._sets, row[2].split()))
        taken = False
        for numbers, found in self.plans.read(piece):
            taken = self._feed(line, piece, numbers, found) or taken
        return taken

    def _feed(self, line: int, piece: str, numbers: dict[str, float], found: Line) -> bool:
        kind = found.kind
        if kind == "text":
            if found.beside and self._is_beside(numbers):
                self._take(line, numbers, found, found.placed)
                return True
            self._remember(line, numbers, found)
            self._leave(line, found.spare)
            if found.alone:
                self._below_records.see(line, self._last_line, len(self._table.lines) - 1, numbers)
            if found.headline and not found.names:
                self._enter(payload(piece)[0], STEP in numbers or EPOCH in numbers)
            return False
        if kind in ("none", "list"):
            self._lists.extend([line] if kind == "list" else [])
            return False
        if kind == "result":
            return found.measured and self._result(piece, numbers, found)
        below = (kind != "record" or bool(self._place)) and self._below_headline(line, found)
        if kind != "record" and not (below or self._continues(line, found)):
            if found.measured and not found.of_checkpoint:
                self._unplaced.append(line)
            if found.placed and found.core:  # the rate of a step, and below it the loss
                self._place, self._headline, self._section = numbers, line, ""
            return False
        if found.of_checkpoint:
            return False
        if below:
            numbers.update(self._place)
        if found.counted:
            self._numbered.add(line)
        placed = found.placed or (below and bool(self._place))
        if not placed and self._placed_only:
            return self._result(piece, numbers, found)
        closes = found.whole_epoch and self._closes(numbers, found)
        if closes:
            self._close_epoch(numbers[EPOCH])
        if found.of_model:
            self._models.see(payload(piece)[0], line)
        epoch = numbers.get(EPOCH)
        self._take(line, numbers, found, placed)
        if closes:
            self._epoch, self._closed = None, epoch
        return True

    def is_plain(self, plan: Plan) -> bool:
        """Tell whether a plan is sure, and its lines say their place, and of others nothing but an epoch that is open."""
        found = plan.about
        sure = not plan.unchecked and found.kind == "record" and found.placed and found.names in self._plain
        if not sure or found.of_model or found.shortened or found.counted:
            return False
        return not found.whole_epoch or not (self.open or self._closed is not None or found.ends_epoch)

    def take(self, plan: Plan, line: int, numbers: dict[str, float]) -> None:
        """Take the numbers of a line that a plain plan fits."""
        self._take(line, numbers, plan.about, True)

    def extend(self, plan: Plan, lines: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Take the numbers of lines that a plain plan fits."""
        last = {name: float(column[-1]) for name, column in columns.items()}
        self.take(plan, int(lines[0]), {name: float(column[0]) for name, column in columns.items()})
        self._spare += plan.about.spare * (len(lines) - 1)
        row = len(self._table.lines)
        columns.pop(EPOCHS, None)
        if EPOCH in columns:
            self._epoch = last[EPOCH]
        elif self._epoch is not None:
            columns[EPOCH] = np.full(len(lines), self._epoch)
        if STEP in columns:
            self._at = last[STEP], last.get(EPOCH)
        self._table.extend(lines[1:], {name: column[1:] for name, column in columns.items()})
        if EPOCH not in columns:
            self.open.extend(range(row, len(self._table.lines)))
        self._last_line = int(lines[-1])

    def _continues(self, line: int, found: Line) -> bool:
        """Whether an indented line holds further numbers of the record above it."""
        return found.indented and not found.placed and 0 <= line - self._last_line <= 1

    def _below_headline(self, line: int, found: Line) -> bool:
        """Whether a line with a metric stands right below one that announced its epoch or step, or below such a line."""
        below = found.core and not found.placed and 0 < line - self._headline <= FEW_LINES
        self._headline = line if below else self._headline
        return below

    def _is_beside(self, numbers: dict[str, float]) -> bool:
        """Whether a line is about the step of the last record: `step 100, step time: 92 ms`."""
        step, epoch = self._at
        if epoch is None:
            numbers.pop(EPOCH, None)
        return numbers[STEP] == step and numbers.get(EPOCH, epoch) == epoch

    def _remember(self, line: int, numbers: dict[str, float], found: Line) -> None:
        """Keep the epoch and the step that a headline such as `Epoch 3/10` announces for the lines below it."""
        epoch = numbers.get(EPOCH)
        if found.headline and not found.names and (step := numbers.get(STEP)) is not None:
            above = self._announced[1] if self._announced else -LONGEST_BLOCK
            if above <= self._last_line or line - above > FEW_LINES:  # the first count of a block
                self._announced, self._headline = (step, line), line
        if epoch is not None and epoch % 1 == 0 and found.headline:
            self._epoch, self._headline, self._section, self._place = epoch, line, "", {}
            self._table.plans_epochs(numbers.get(EPOCHS, 0.0))
        if found.place and self._section and numbers.get(STEP) == self._at[0]:
            self._section_has_step = True
        elif found.place:
            self._headline, self._section = line, ""
            self._place = {name: numbers[name] for name in (STEP, POSITION, TOTAL) if name in numbers}
            self._table.of_epochs |= {found.of_epoch} if TOTAL in self._place else set()

    def _enter(self, piece: str, has_step: bool = False) -> None:
        """Keep the set that a line such as `Evaluating ...` announces for the lines below it."""
        found = _ANNOUNCED.match(piece) if len(piece) < 60 else None
        if found:
            word = found[1].lower()
            self._section_has_step = has_step
            self._section = "" if word.startswith("train") else "test" if word.startswith("test") else "val"

    def _of_section(self, values: dict[str, float], found: Line) -> dict[str, float]:
        """Return the values of a line, under the set that was announced above it where it names none itself."""
        measured = {
            name for name in found.names if name in values and metric_of(name) in _OF_A_SET and not of_training(name)
        }
        return {f"{self._section} {name}" if name in measured else name: value for name, value in values.items()}

    def _result(self, piece: str, numbers: dict[str, float], found: Line) -> bool:
        if trained := len(self._table.lines) > 0:
            values = {name: numbers[name] for name in found.names}
            self._table.happened(Event("final_evaluation", self._table.last_step, payload(piece)[0][:300], values))
        return trained

    def _take(self, line: int, values: dict[str, float], found: Line, placed: bool) -> None:
        table = self._table
        if table.leaves_out(line, values):
            return
        row = len(table.lines)
        epochs = values.pop(EPOCHS, 0.0)
        if found.placed:
            self._place = {}
            table.of_epochs |= {found.of_epoch} if TOTAL in values else set()
        if placed:
            self._section = ""
            for name, metric in found.losses.items():
                self._placed.setdefault(metric, set()).add(name)
                self._of_steps |= {name} if metric == "loss" and found.step is not None else set()
        else:
            values = self._without_place(line, row, values, found)
        if found.shortened or found.names not in self._plain:
            values = self._in_full(found, values)
        epoch = values.get(EPOCH)
        if STEP in values:
            self._at = values[STEP], epoch
        if epoch is not None:
            self._epoch = epoch
            if self.open:
                self.open = array(ROW)
        elif self._epoch is None:
            self.open.append(row)
        else:
            values[EPOCH] = self._epoch
        self._units.note(row, values, found.units)
        if found.guessed:
            table.config["guessed_places"] = True
        if found.samples:
            table.config["step_kind"] = "samples"
        table.add(line, values)
        self._leave(line, found.spare)
        self._last_line = line
        table.plans_epochs(epochs)

    def _leave(self, line: int, spare: int) -> None:
        """Count numbers of a record that nothing was made of."""
        self._first_spare = self._first_spare or (line if spare else 0)
        self._spare += spare

    def _without_place(self, line: int, row: int, values: dict[str, float], found: Line) -> dict[str, float]:
        """Note a row that names no place of its own; return its values, under the set that was announced above them."""
        self._loose[row] = {name: values[name] for name in found.names}, found
        self._below_epoch = self._below_epoch or line == self._headline
        if self._announced and line - self._announced[1] <= LONGEST_BLOCK:
            self._below[row] = self._announced[0]
        if not self._section or found.split:
            return values
        if self._section_has_step:
            del self._loose[row]  # an evaluation at the step before it
        return self._of_section(values, found)

    def _in_full(self, found: Line, values: dict[str, float]) -> dict[str, float]:
        """Keep `loss` and `NCE loss` apart where some lines print the one and some the other.

        The first gets the name `loss`, but for a line without a place, such as a result before training.
        """
        usual = self._spelt.setdefault(tuple(map(str.lower, found.names)), found.names)
        if usual != found.names and len(usual) > 1:  # STEP 7 | LOSS 2.5 | LR 0.001
            again = dict(zip(found.names, usual))
            return {again.get(name, name): value for name, value in values.items()}
        names = tuple(values)
        changed = bool(found.shortened)
        for name in [name for name in names if name in found.losses]:
            whole = found.shortened.get(name, name)
            first, placed = self._called.setdefault(name, (whole, found.placed))
            if found.placed and not placed and first not in (name, whole):
                self._table.columns[first] = self._table.columns.pop(name)
                first = whole
                self._called[name] = whole, True
            if first != whole:
                values[whole if whole != name else f"printed {name}"] = values.pop(name)
                changed = True
        if not changed:
            self._plain.add(found.names)
        return values

    def _closes(self, numbers: dict[str, float], found: Line) -> bool:
        """Whether a record of a whole epoch stands behind those of the epoch, and not before them."""
        return bool(self.open) or numbers[EPOCH] == self._closed or found.ends_epoch

    def _close_epoch(self, epoch: float) -> None:
        """Number the rows of the epoch that a line such as `Epoch 3 done, mean loss 2.1` closes."""
        rows, values = self._table.columns.setdefault(EPOCH, (array(ROW), array("d")))
        rows.extend(self.open)
        values.extend([epoch] * len(self.open))

    def finish(self) -> None:
        """Decide on rows without a place, make one step of all counters, and name the columns."""
        if len(self._unplaced) >= FEWEST_RECORDS:
            self._table.notes.append(
                f"{len(self._unplaced):,} lines with a loss and no place were not used, the first is line {self._unplaced[0]:,}"
            )
        if lists := self._lists:
            said = "1 list of losses was" if len(lists) == 1 else f"{len(lists):,} lists of losses were"
            self._table.notes.append(f"{said} not used, the first is line {lists[0]:,}")
        for line, count in self._below_records.settle(self._table):
            self._leave(line, count)
        if self._spare:
            self._table.skipped.append(Skipped(self._first_spare, SPARE, self._spare, "value"))
        units = self._units.settle(self._table)
        self._place_below()
        self._settle_loose()
        self._table.starts = self._models.starts()
        guess_step(self._table)
        before = self._table.cells(STEP)
        settle(self._table, self._numbered)
        place_in_run(self._table)
        unroll(self._table)
        self._table.move_events(before)
        self._table.config.pop("percent", None)
        self._table.config.pop("guessed_places", None)
        guess_loss(self._table, self._called)
        name_columns(self._table, units)

    def _place_below(self) -> None:
        """Give losses the step that a line above them announced, as in `== Step 3 ==`, where no line says both."""
        table, steps = self._table, self._below
        alone = not any(name in table.columns for name in (STEP, EPOCH, POSITION))
        losses = max((len(rows) for name, (rows, _) in table.columns.items() if metric_of(name) in MEASURES), default=0)
        if alone and len(set(steps.values())) >= max(FEWEST_RECORDS, losses // 2):
            cells = np.full(len(table.lines), np.nan)
            cells[list(steps)] = list(steps.values())
            table.put(STEP, cells)

    def _settle_loose(self) -> None:
        """Make results of the rows without a place whose losses are also printed with a place, unless they recur."""
        often = Counter(name for _, found in self._loose.values() for name in found.losses)
        few = max(often.values(), default=0) < FEWEST_RECORDS and not are_of_epochs(self._table, often)
        if len(self._loose) == len(self._table.lines) and few:
            self._table.keep(np.zeros(len(self._table.lines), bool))  # results, and no curve
            return
        recurring = Counter(name for values, _ in self._loose.values() for name in values)
        results = {
            row: values
            for row, (values, found) in self._loose.items()
            if any(m in self._placed and (n in self._placed[m] or recurring[n] < 2) for n, m in found.losses.items())
        }
        table, parts = self._table, self._micro_batches(results.keys())
        if parts:
            count = sum(len(self._loose[row][0]) for row in parts)
            table.skipped.append(Skipped(int(table.lines[min(parts)]), MICRO, count, "value"))
        for row, values in results.items():
            table.events.append(Event("final_evaluation", None, "", values))
            table.event_rows.append(row)
        losses = (
            "1 loss without a step was taken as a result"
            if len(results) == 1
            else f"{len(results):,} losses without a step were taken as results"
        )
        if results:
            table.notes.append(f"{losses}, not as part of the curve")
        if results or parts:
            table.keep(np.array([row not in results and row not in parts for row in range(len(table.lines))]))

    def _micro_batches(self, results: Container[int]) -> set[int]:
        """Return the rows of micro-batches: several stand before each step, whose own loss has another name.

        What stands behind the last step or below an epoch may be another training; so may what stopped being finite.
        """
        losses = [self._table.columns[name][0] for name in self._of_steps & self._table.columns.keys()]
        ends = np.unique(np.concatenate([np.asarray(rows) for rows in losses])) if losses else np.empty(0, int)
        parts = np.array([row for row, (_, found) in self._loose.items() if self._has_another_loss(found)], int)
        parts = np.array([row for row in parts[parts < ends.max(initial=0)].tolist() if row not in results], int)
        each = np.bincount(np.searchsorted(ends, parts), minlength=len(ends))
        several = len(ends) >= FEWEST_RECORDS and each[1:].min() > 1 and each.max() <= LONGEST_BLOCK
        values = [value for row in parts.tolist() for value in self._loose[row][0].values()]
        return set(parts.tolist()) if several and np.isfinite(values).all() and not self._below_epoch else set()

    def _has_another_loss(self, found: Line) -> bool:
        names = {name for name, metric in found.losses.items() if metric == "loss"}
        return bool(names) and names.isdisjoint(self._of_steps)
