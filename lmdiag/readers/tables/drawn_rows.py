"""Tables and boxes that programs print: rows under a head of names, and boxes with a name and a number on each line.

    epoch  train_loss  valid_loss  time      ┌──────┬───────┐   | train/   |      |   Learning iteration 5/1000
    0      4.012345    3.912345    00:01     │ step ┆ loss  │   |    loss  | 3.21 |      Surrogate loss: 0.0123

Of fastai, spaCy, mlx-lm, pandas, polars, rich and Markdown; the boxes are those of Stable-Baselines3 and rsl_rl.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from lmdiag.naming import SPLITS, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import MARKS, cell_value, unit_factor
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import (
    UNIX_TIMES,
    canonical,
    is_split,
    may_name_a_set,
    metric_of,
    name_columns,
    of_training,
)
from lmdiag.readers.tables.drawn import ALONE, APART, BARS, EDGE, Head, Value, cells_between, head_of, kind_of, pair
from lmdiag.readers.tables.runs import unroll
from lmdiag.readers.tables.table import EPOCH, LARGEST, POSITION, RANK, STEP, TOTAL, Scanner, Table
from lmdiag.run import Event, Skipped

_RULE = lazy(r"[\s|:+=─━═┼╋╇╪┌┐└┘├┤┬┴┏┓┗┛┡┩┳┻╒╕╘╛╞╡╤╧╔╗╚╝╠╣╦╩╭╮╰╯┆╎-]*$")
_WITHIN = frozenset("+┼├╪╞╇┡╬╠")  # in a rule between the rows of a box
_DOTS = frozenset(("…", "...", ".."))  # rows and columns that a frame does not print
_TRAINING = lazy(r"(?i)(?:(?<=[_ /])|^)train(?:ing)?(?:[_ /]|$)")
_UNIT = lazy(r"[(\[](\S+)[)\]]$")
_OF_A_SET = ("loss", "ppl", "accuracy", "bpb", "bpc", "f1", "auc")
_OF_DATA = ("dataset", "data", "set", "subset", "split")  # heads of names of sets; below others stand but train and val
_AVERAGES = ("average", "avg", "mean")  # of the sets in the rows above
_BESIDE = " (table)"  # behind the names of columns beside those of another format
_ITERATION = lazy(r"\s*Learning iteration (\d+)/(\d+)\s*$")
_REINFORCED = lazy(r"(?i)loss|rew|kl\b|ret\b")
_TIMESTEPS = ("total_timesteps", "totalenvinteracts", "timesteps", "timesteps_total")
FEWEST_SHORT, ELAPSED = 3, 1.5


class TableScanner:
    """Reads the rows below a head, and boxes; a row that does not fit is counted as skipped when it begins alike.

    `beside` reads the other lines in another format; rows that count no steps then take the place of its last record.
    """

    def __init__(self, table: Table, text: str = "", beside: Scanner | None = None) -> None:
        self._table, self._beside = table, beside
        self._before: Callable[[], None] = getattr(beside, "settle", lambda: None)  # what it holds back stands above
        self._behind = _BESIDE if beside else ""
        self.reads_sets = beside is not None  # rows of sets need a record above
        self._below_head = False  # no record of the other format stands between the last head of sets and this line
        self._places = {"step": STEP} if beside else {"step": STEP, "epoch": EPOCH, "index": POSITION}
        self._head: Head | None = None
        self._above = ""  # the last line that was neither row nor rule
        self._restarts, self._last = False, 0.0  # the head came again, and where the last row stood
        self._short: dict[int, int] = {}  # rows without their last cells: line
        self._unread = 0  # numbers in rows that name no set, or have other cells than their head
        self._words = Counter[str]()  # cells that are neither numbers nor missing, by column
        self._box: dict[str, float] = {}
        self._box_line, self._box_total, self._section, self._indent = 0, 0.0, "", 0

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a head, a row, a line of a box, or a record of the other format."""
        head = self._head
        if head is not None and self._row(head, line, piece):
            self._above = ""
            return True
        if (self._box or piece.lstrip()[:1] in BARS or "Learning iteration" in piece) and self._boxed(line, piece):
            return True
        if self._begin(piece) or (head is not None and head is self._head and self._goes_on(head, piece)):
            return True
        if piece[:1].isalnum() or not _RULE.match(piece):
            self._above = piece
        taken = self._beside is not None and self._beside.feed(line, piece)
        self._below_head = self._below_head and not taken
        return taken

    def _begin(self, piece: str) -> bool:
        """Take a line for a head if it can be one."""
        old, new = self._head, head_of(piece, self._above)
        if new is None or (old is not None and old.rows and not (new.sure and (old.of_sets or not new.of_sets))):
            return False
        self._below_head = new.of_sets
        names = [name for name in old.names if name] if old is not None and old.settled else []
        if any(names == [name for _, _, name in way if name] for way in new.ways):
            self._restarts = bool(new.separator)
            return True
        self._head = new
        return new.sure

    def _goes_on(self, head: Head, piece: str) -> bool:
        """Tell whether a line that is no row is part of the table: a rule, or names below the head; another may end it."""
        named = ALONE.search(piece) is None
        if named and not head.rows and not head.separator and kind_of(piece.strip()) in ("step", "epoch"):
            head.take([[(0, names[0][0], piece.strip()), *names] for names in head.ways], settled=False)
            head.sure = True  # the name of an index stands in a line of its own
            return True
        if _RULE.match(piece) or (named and not head.rows and head.separator == "|" and "|" in piece.translate(EDGE)):
            return True  # a rule, or the types of a frame
        cells = cells_between(piece, "|") if head.separator else APART.findall(piece)
        if (named and 2 < len(cells) <= len(head.columns) <= len(cells) + 1) or not (head.sure or head.rows):
            self._head = None  # of another table, or it was no head
        return False

    def _row(self, head: Head, line: int, piece: str) -> bool:
        """Read a row; return whether the line is one, or begins like one."""
        text, rank = payload(piece) if head.prefixed else (piece, None)
        if head.counter is None and head.of_sets:
            return self._of_set(head, line, text)
        if "%|" in text:
            text = text.partition(": 100%|")[0] if ": 100%|" in text else ""  # a row with its bar, the last of it
        cells, split = head.placed(text)
        values = [cell_value(cell, head.of_memory) for cell in cells]
        if head.fits(cells, values):
            if not head.separator and not cells[-1] and len(text) < head.columns[-1][0] and not split:
                self._short[len(self._table.lines)] = line
            self._add(head, line, cells, values, split, rank)
            return True
        words = [word.strip() for word in cells_between(text, head.separator)]
        if head.rows and not _DOTS.isdisjoint(words) and all(cell_value(word) is None for word in words):
            note = "a frame was printed without its middle: rows are left out where it has dots"
            self._table.notes += [note] if note not in self._table.notes else []
            return True
        if not (head.sure or head.rows) or len(words) < 2 or not isinstance(cell_value(words[0]), float):
            return False
        alike = 2 * sum(isinstance(cell_value(word), float) for word in words) >= len(words)
        if alike:
            self._table.skip(line, f"not a row of the table above: {text.strip()[:80]}")
        return alike

    def _of_set(self, head: Head, line: int, text: str) -> bool:
        """Read a row such as `c4  2.5  12.2` below `dataset  loss  ppl`: what the last record has on a set."""
        cells = [cell.strip(MARKS) for cell in cells_between(text, head.separator)]
        name, values = cells[0], [cell_value(cell) for cell in cells[1:]]
        numbers = [value for value in values if isinstance(value, float)]
        if not (self.reads_sets and self._below_head and numbers) or not isinstance(cell_value(name), str):
            return False
        split = name if is_split(name) else "val" if name.lower() in _AVERAGES else ""
        if not split and (kind_of(name) in ("step", "epoch") or metric_of(name) in _OF_A_SET):
            return False  # step 10 2.5
        if not split and head.names[0].lower() in _OF_DATA and may_name_a_set(name):
            split = f"val {name}"
        if len(cells) != len(head.names) or str in map(type, values) or not split:
            alike = not isinstance(values[0], str) and 2 * len(numbers) >= len(values)
            self._unread += len(numbers) if alike else 0
            return alike
        head.rows, head.settled = head.rows + 1, True
        self._before()
        measures = [f"{split} {metric_of(measure) or measure}{self._behind}" for measure in head.names[1:]]
        self._table.add(line, {key: value for key, value in zip(measures, values) if isinstance(value, float)})
        return True

    def _add(self, head: Head, line: int, cells: list[str], values: list[Value], tag: str, rank: int | None) -> None:
        split, counter, table = tag or head.split, head.counter or 0, self._table
        for name, value in zip(head.names, values) if str in map(type, values) else ():
            if isinstance(value, str) and value.lower() in SPLITS:
                split = SPLITS[value.lower()]
            elif isinstance(value, str):
                self._words[name] += 1
        keys = head.keys.get((split, tag))
        if keys is None:
            keys = head.keys[split, tag] = [self._key(head, k, split, bool(tag)) for k in range(len(values))]
        if tag:
            keys = [f"{tag} runtime{self._behind}" if cell.endswith("s") else key for key, cell in zip(keys, cells)]
        record = {key: value for key, value in zip(keys, values) if key and isinstance(value, float)}
        place = values[counter]
        if isinstance(place, float):
            if self._restarts and place <= self._last:
                table.starts.append(line)
            self._restarts, self._last = False, place
            if not self._beside and STEP not in table.columns and place <= LARGEST[EPOCH]:
                table.last_step = int(place)
        total = cells[counter].partition("/")[2].strip(" ]*")
        if total.isdigit():
            record[TOTAL] = float(total)
        if rank is not None:
            record[RANK] = rank
        head.rows += 1
        self._before()
        table.add(line, record)

    def _key(self, head: Head, k: int, split: str, tagged: bool) -> str:
        """Return under which name a cell of a row is kept, "" for what only counts."""
        name, kind = head.names[k], head.kinds[k]
        if k == head.counter or (kind == "epoch" and not self._beside):
            return self._places.get(kind, "")
        measure = (canonical(name) or ("",))[0]
        if split and "/" not in measure and (tagged or (measure in _OF_A_SET and not of_training(name))):
            name = f"{split} {_TRAINING.sub('', name).strip(' _/')}"
        return f"{name}{self._behind}" if name and name not in _DOTS else ""

    def _boxed(self, line: int, piece: str) -> bool:
        """Read a line of a box: a name with its number, a heading such as `train/`, or its beginning and end."""
        if found := _ITERATION.match(piece):
            self._close_box()
            self._box, self._box_line, self._box_total = {STEP: float(found[1])}, line, float(found[2])
            return True
        indent, name, value = pair(piece, self._box_total > 0)
        if isinstance(value, float):
            name = f"{self._section if indent > self._indent else ''}{name}"
            if name in self._box:
                self._close_box()
            self._box_line = self._box_line or line
            self._box[name] = value
        elif name.endswith("/") and value is None:
            self._section, self._indent = name, indent
        else:
            if self._box and not self._box_total and _RULE.match(piece) and _WITHIN.isdisjoint(piece):
                self._close_box()
            return False
        return True

    def _close_box(self) -> None:
        """Make a record of a box that counts steps, and a result of one that only holds measures of an evaluation."""
        box, line, total = self._box, self._box_line, self._box_total
        self._box, self._box_line, self._box_total, self._section = {}, 0, 0.0, ""
        plain = {name: name.rpartition("/")[2].lower().replace(" ", "_") for name in box}
        steps = [name for name in box if plain[name] in _TIMESTEPS or kind_of(plain[name]) == "step"]
        step = min(steps, key=lambda name: (name != STEP, plain[name] not in _TIMESTEPS), default="")
        if step and len(box) > 1 and any(map(_REINFORCED.search, box)):
            self._before()
            self._table.add(line, {STEP: box.pop(step), TOTAL: total, **box})
        elif box and all(spelling(name).name.startswith(("val/", "test/")) for name in box):
            self._table.happened(Event("final_evaluation", self._table.last_step, "", box))

    def finish(self) -> None:
        """Leave out torn rows, make one count of all, and say what each column stands for."""
        self._close_box()
        table, short = self._table, self._short
        for name, count in self._words.items():
            if name in table.columns:
                table.skipped.append(Skipped(0, f'not a number in "{name}"', count, "value"))
        if self._unread:
            reason = "a number in a table of evaluation sets whose row names none, or has not the cells of its head"
            table.skipped.append(Skipped(0, reason, self._unread, "value"))
        if words := [name for name in self._words if name and name not in table.columns]:
            table.notes.append(f"columns of words are not read: {', '.join(words)}")
        self._name_own()
        if self._beside:
            self._beside.finish()
            return
        if 0 < len(short) < FEWEST_SHORT:
            for line in short.values():
                table.skip(line, "not a row of the table above: it ends before its last cells")
            table.keep(np.array([row not in short for row in range(len(table.lines))], bool))
            table.tally.with_records -= len(short)
            table.tally.lost += len(short)
        _count(table)
        units = {name: found[1] for name in table.columns if (found := _UNIT.search(name)) and unit_factor(found[1])}
        name_columns(table, units)

    def _name_own(self) -> None:
        """Name columns beside those of another format; tell the time since the start, which grows, from that of a row."""
        for name in [name for name in self._table.columns if name.endswith(self._behind)]:
            own, values = name.removesuffix(self._behind), np.asarray(self._table.columns[name][1])
            metric, scale = canonical(own) or (own, 1.0)
            if metric in ("time", "elapsed_s") and (values < UNIX_TIMES).all():
                elapsed = len(values) > 1 and (np.diff(values) > 0).all() and values[-1] >= ELAPSED * values[0]
                self._table.names[name] = "elapsed_s" if elapsed else "duration_s"
            elif self._beside:
                self._table.names[name], self._table.scales[name] = metric, scale


def _count(table: Table) -> None:
    """Make one count of steps, else of whole epochs, else of the records."""
    index, epochs = table.cells(POSITION), table.cells(EPOCH)
    table.columns.pop(POSITION, None)
    if STEP not in table.columns:
        whole = EPOCH in table.columns and not (epochs[np.isfinite(epochs)] % 1).any()
        table.config["step_kind"] = "epoch" if whole else "record"
        table.put(STEP, epochs if whole else np.arange(1.0, len(epochs) + 1) if EPOCH in table.columns else index)
        if whole:
            table.columns.pop(EPOCH)
    elif EPOCH in table.columns:
        unroll(table)


def may_hold_tables(text: str) -> bool:
    """Tell whether a text has a line that ends with names, a measure among them, or one that begins with a bar."""
    boxed = text[:1] in BARS or any(begin in text for begin in ("\n|", "│", "┃", "║", "Learning iteration"))
    return boxed or any(map(head_of, text.replace("\r", "\n").split("\n")))


def tables_in(sample: Iterable[tuple[int, str]]) -> tuple[int, list[str]]:
    """Return how many rows and boxes of tables there are among some pieces, and the pieces that are no part of them."""
    scanner = TableScanner(table := Table())
    scanner.reads_sets = True
    rest = [piece for line, piece in sample if not scanner.feed(line, piece)]
    scanner.finish()
    return len(table.lines) + len(table.events), rest
