"""Tables and boxes that programs print: rows under a head of names, and boxes with a name and a number on each line.

    epoch  train_loss  valid_loss  time      ┌──────┬───────┐   | train/   |      |   Learning iteration 5/1000
    0      4.012345    3.912345    00:01     │ step ┆ loss  │   |    loss  | 3.21 |      Surrogate loss: 0.0123

Of fastai, spaCy, mlx-lm, pandas, polars, rich and Markdown; the boxes are those of Stable-Baselines3 and rsl_rl.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from lmdiag.metrics import TIME_UNITS, unit_scale
from lmdiag.naming import SPLITS, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, SUFFIXES, cell_number, number
from lmdiag.readers.text.line_format import LineFormat, Scanner
from lmdiag.readers.text.names import UNIX_TIMES, canonical, heading, name_columns, of_training
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.runs import unroll
from lmdiag.readers.text.table import EPOCH, LARGEST, POSITION, STEP, Table
from lmdiag.run import Event, Skipped

_MEASURE = lazy(r"loss|ppl|perplexity|xent|\bnll\b|\bbp[bc]\b", re.IGNORECASE)
_ENDS = {
    word: lazy(word + r"[^\d\r\n]*(?:(?<=[A-Za-z@_#-])\d[^\d\r\n]*)*(?:[\r\n]|\Z)")
    for word in ("oss", "OSS", "ppl", "PPL", "erplexity", "xent", "nll", "bpb", "bpc")
}
_REINFORCED = lazy(r"loss|rew|kl\b|ret\b", re.IGNORECASE)
_ALONE = lazy(r"(?<![\w.@#/(\[+-])[-+]?\.?\d")  # a number that is no part of a name
_RULE = lazy(r"[\s|:+=─━═┼╋╇╪┌┐└┘├┤┬┴┏┓┗┛┡┩┳┻╒╕╘╛╞╡╤╧╔╗╚╝╠╣╦╩╭╮╰╯┆╎-]*$")
_BARS = "|│┃║┆╎"
_EDGE = str.maketrans(_BARS, "||||||")
_APART, _BLANKLESS = lazy(r"\S+(?: \S+)*"), lazy(r"\S+")
_MARKS = " *`'\"~≈▼▲▾▴↑↓→←⬇⬆✓✔★☆✗"  # beside a number: better, worse, best
_MISSING = lazy(r"(?:-*|—|–|None|NA|<NA>|NaT|null|n/a|#na#|no log|\?)$", re.IGNORECASE)
_LEFT_OUT = ("…", "...", "..")  # rows and columns that a frame does not print
_NUMBER = lazy(rf"({NUM})\s*(%|[A-Za-zµ]+(?:/[A-Za-z]+)?)?$")
_RATE = lazy(r"[A-Za-z]+/[A-Za-z]+$")
_CLOCK = lazy(r"(?:(\d+):)?(\d+):(\d\d(?:\.\d+)?)$")
_SPAN = lazy(r"(?:(\d+)h)? ?(?:(\d+)m(?:in)?)? ?(?:(\d+(?:\.\d+)?)s)$")
_TOTAL = lazy(r"(?:\[|(?:epoch|step|iter\w*)\W*)?(\d+)(?:/(\d+))?\]?$", re.IGNORECASE)
_SPELLINGS = {"∞": np.inf, "+∞": np.inf, "-∞": -np.inf, "1.#inf": np.inf, "-1.#inf": -np.inf, "-1.#ind": np.nan}
_TITLE = lazy(
    r"\W*(?:(?:results|metrics|losses) (?:of|on|for) (?:the )?)?(train|val|eval|test|dev)[a-z]*"
    r"(?: (?:set|split|data|results?|metrics|table|summary|losses|history|phase))*"
    r"(?:\W+(?:at |after )?(?:step|epoch|iter\w*)\W*\d+)?\W*$",
    re.IGNORECASE,
)
_TRAINING = lazy(r"(?:(?<=[_ /])|^)train(?:ing)?(?:[_ /]|$)", re.IGNORECASE)
_UNIT = lazy(r"[(\[](\S+)[)\]]$")
_SHORT_TIMES = ("(ms)", "[ms]", "(us)", "[us]", "(µs)", "[µs]")
_LOGGER = lazy(r"[A-Za-z_][\w.]*(?: - |: )\s*")
_ITERATION = lazy(r"\s*Learning iteration (\d+)/(\d+)\s*$")
_ITEM = lazy(rf"\s+([A-Z][\w \-/().]*?): ({NUM}\s?[A-Za-z%/]*)(?: \(.*\))?\s*$")
_WITHIN = "+┼├╪╞╇┡╬╠"  # in a rule between the rows of a box
_TIMESTEPS = ("total_timesteps", "totalenvinteracts", "timesteps", "timesteps_total")
_COUNTERS = {"#": "step", "e": "epoch", "epochs": "epoch"}
_OF_A_SET = ("loss", "ppl", "accuracy", "bpb", "bpc", "f1", "auc")
SPLIT_COLUMNS = ("split", "set", "subset", "mode", "phase", "stage", "partition", "type", "dataset", "data", "part")
LONGEST_NAME, FEWEST_SHORT, ELAPSED = 40, 3, 1.5

Word = tuple[int, int, str]  # where it begins and ends in its line


@dataclass
class _Head:
    """The names of a table and where they stand; between blanks the first full row tells how they are to be split."""

    splittings: list[list[Word]]
    separator: str  # a bar, tab, semicolon or comma, or "" for blanks
    sure: bool  # the names alone tell that it is a head; else a row must stand right below it
    split: str = ""  # the set that the line above it names
    goes_on: bool = False  # further columns follow below these, under a head of their own
    prefixed: bool = False  # a logger's prefix stands before every line
    settled: bool = False
    rows: int = 0
    ended: set[int] = field(default_factory=set)  # columns whose names a rule has ended

    def __post_init__(self) -> None:
        self.settle(self.splittings, self.settled or bool(self.separator))

    def settle(self, splittings: list[list[Word]], settled: bool = True) -> None:
        """Take the first of some splittings for the columns, for good if they are settled."""
        self.splittings, self.columns, self.settled = splittings, splittings[0], settled
        self.kinds = [_kind(name) for _, _, name in self.columns]
        self.counter = _counter(self.kinds)
        self.has_sets = any(name.lower() in SPLIT_COLUMNS for _, _, name in self.columns)
        self.of_memory = any(spelling(name).name.endswith("_bytes") for _, _, name in self.columns)
        self.plan: list[str] = []  # under which name each column is kept


def _counter(kinds: list[str]) -> int | None:
    """Return which column counts: steps where there are any, else epochs, else the index of a frame."""
    return next((kinds.index(kind) for kind in ("step", "epoch", "index") if kind in kinds), None)


def _kind(name: str) -> str:
    return "index" if not name else _COUNTERS.get(name.lower()) or heading(f"{name}: ").kind


def _head_of(text: str) -> _Head | None:
    """Return what a line without numbers may be the head of."""
    plain = text.translate(_EDGE)
    separator = next((mark for mark in "|\t;," if mark in plain.strip()), "")
    if separator:
        names = _cut(plain, separator)
        told, splittings = [names], [names]
    else:
        apart, words = _words(_APART, text.rstrip(" \\")), _units_joined(_words(_BLANKLESS, text.rstrip(" \\")))
        splittings = [names for names in (apart, _phrases(words), words) if len(names) > 1]
        told = [apart] if len(apart) > 1 else [n for n in splittings if all(_kind(w) != "none" for _, _, w in n)]
    named = [n for n in splittings if len(n) > 1 and any(_MEASURE.search(w) for _, _, w in n)]
    if not named or any(len(name) > LONGEST_NAME for _, _, name in named[0]):
        return None
    sure = any(_counter([_kind(name) for _, _, name in names]) is not None for names in told)
    return _Head(named, separator, sure, goes_on=text.rstrip().endswith("\\"))


def _unprefixed(piece: str) -> tuple[str, int | None]:
    """Return a line of a logger without what stands before every line, and the rank that it names."""
    text, rank = payload(piece)
    logger = _LOGGER.match(text)
    return text[logger.end() :] if logger else text, rank


def _words(pattern: re.Pattern[str], text: str) -> list[Word]:
    return [(found.start(), found.end(), found[0]) for found in pattern.finditer(text)]


def _told_apart(names: list[Word], above: str) -> list[Word]:
    """Put the sets that stand above them, `train            val`, before names that come twice, else their number behind them."""
    often = Counter(name for _, _, name in names)
    groups = [word for word in _words(_BLANKLESS, above) if word[2].lower() in SPLITS]
    if len(groups) != len(above.split()):
        groups = []
    seen: Counter[str] = Counter()
    told = []
    for start, end, name in names:
        seen[name] += 1
        if name and often[name] > 1 and groups and end:
            group = min(groups, key=lambda word: abs(word[0] + word[1] - start - end))
            name = f"{group[2]} {name}"
        elif seen[name] > 1 and name:
            name = f"{name} ({seen[name]})"
        told.append((start, end, name))
    return told


def _split(text: str, separator: str) -> list[str]:
    if separator != "|":
        return text.strip("\r\n").split(separator)
    plain = text.strip() if text.isascii() else text.translate(_EDGE).strip()
    return plain.removeprefix("|").removesuffix("|").split("|")


def _cut(text: str, separator: str) -> list[Word]:
    return [(0, 0, cell.strip().strip("*`").strip()) for cell in _split(text, separator)]


def _units_joined(words: list[Word]) -> list[Word]:
    """Join a unit in brackets with the name before it."""
    joined: list[Word] = []
    for start, end, word in words:
        if joined and word[0] in "([":
            joined[-1] = (joined[-1][0], end, f"{joined[-1][2]} {word}")
        else:
            joined.append((start, end, word))
    return joined


def _phrases(words: list[Word]) -> list[Word]:
    """Join words that are the name of a metric together."""
    phrases: list[Word] = []
    while words:
        count = next((n for n in (3, 2) if len(words) >= n and _phrase(w[2] for w in words[:n])), 1)
        phrases.append((words[0][0], words[count - 1][1], " ".join(word for _, _, word in words[:count])))
        words = words[count:]
    return phrases


def _phrase(words: Iterable[str]) -> bool:
    name = " ".join(words)
    return "_" not in name and canonical(name) is not None


def _tokens(text: str, tags: bool) -> list[Word]:
    """Return the cells of a row between blanks: a unit belongs to the number before it, a mark to none.

    With `tags` a set belongs to the number behind it, as in `20    val 3.150`.
    """
    tokens: list[Word] = []
    for start, end, word in _words(_BLANKLESS, text):
        begin, stop, before = tokens[-1] if tokens else (0, 0, "")
        unit = not word[0].isdigit() and _is_unit(word) and isinstance(_read(before), float)
        if (start - stop == 1 and (unit or _SPAN.match(f"{before} {word}"))) or (
            tags and before.lower() in SPLITS and isinstance(_read(word), float)
        ):
            tokens[-1] = (begin, end, f"{before} {word}")
        elif word.strip(_MARKS):
            tokens.append((start, end, word))
    return tokens


def _is_unit(word: str) -> bool:
    return word == "%" or word in TIME_UNITS or unit_scale("mem_bytes", word) != 1 or bool(_RATE.match(word))


def _read(word: str, of_memory: bool = False) -> float | str | None:
    """Return the number in a cell, times in seconds and sizes in bytes; None where it is missing, else the word itself.

    >>> _read("2,345"), _read("1.2k"), _read("00:01"), _read("50 ms"), _read("--"), _read("best")
    (2345.0, 1200.0, 1.0, 0.05, None, 'best')
    """
    word = word.strip(_MARKS)
    if _MISSING.match(word) or word in _LEFT_OUT:
        return None
    if found := _NUMBER.match(word):
        value, unit = number(found[1]), found[2] or ""
        if not unit or _RATE.match(unit):
            return value
        if unit == "%":
            return value * 0.01
        size = unit_scale("mem_bytes", unit)
        factor = size if size != 1 and (of_memory or len(unit) > 1) else SUFFIXES.get(unit) or TIME_UNITS.get(unit)
        return word if factor is None else value * factor
    if found := _CLOCK.match(word) or _SPAN.match(word):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return 3600 * hours + 60 * minutes + seconds
    if found := _TOTAL.match(word):
        return float(found[1])
    spelled = _SPELLINGS.get(word.lower(), cell_number(word))
    return word if spelled is None else float(spelled)


class TableScanner:
    """Reads the rows below a head, and boxes; a row that does not fit is counted as skipped when it begins alike.

    `beside` the records of another format, rows that count no steps take the place of the record before them.
    """

    def __init__(self, table: Table, text: str = "", beside: Scanner | None = None) -> None:
        self._table, self._beside = table, beside is not None
        self._before: Callable[[], None] = getattr(
            beside, "settle", lambda: None
        )  # what the other holds back stands above
        self._head: _Head | None = None
        self._above = ""  # the last line that was neither row nor rule
        self._restarts = False  # the head came again: what counts from the start is a table of its own
        self._last = 0.0  # where the last row stood
        self._short: list[tuple[int, int]] = []  # rows without their last cells, and their lines
        self._words: Counter[str] = Counter()  # cells that are neither numbers nor missing, by column
        self._frame: dict[str, int] = {}  # the rows of a frame whose columns go on below, by their index
        self._box: dict[str, float] = {}
        self._box_line, self._box_total, self._section, self._indent = 0, 0.0, "", 0

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a head, a row, or a line of a box."""
        head = self._head
        text, rank = (piece, None) if head is None or not head.prefixed else _unprefixed(piece)
        if head is not None and "%|" in text:
            text = text.partition(": 100%|")[0] if ": 100%|" in text else ""  # a row with its bar, which was the last
        if head is not None and (self._plain(head, line, text, rank) or self._row(head, line, text, rank)):
            self._above = ""
            return True
        begins = piece.lstrip()[:1]
        if (self._box or begins in _BARS or "Learning it" in piece) and self._in_box(line, piece):
            return True
        at = piece.rfind("oss")
        if at < 0 and any(word in piece for word in _ENDS):
            found = _MEASURE.search(piece)
            at = found.start() if found else -1
        if at >= 0 and not _ALONE.search(piece, at) and self._begin(piece):
            return True
        if head is not None and self._below(head, piece):
            return True
        if begins.isalnum() or not _RULE.match(piece):
            self._above = piece
        return False

    def _begin(self, piece: str) -> bool:
        """Take a line for a head if it can be one."""
        old, prefixed = self._head, _ALONE.search(piece) is not None
        if old is not None and old.goes_on and old.rows:
            return self._below(old, piece)
        text = _unprefixed(piece)[0] if prefixed else piece
        if prefixed and _ALONE.search(text):
            return False
        new = _head_of(text)
        if new is None or (not new.sure and old is not None and old.rows):
            return False
        new.prefixed = prefixed
        title = _TITLE.match(self._above)
        new.split = SPLITS.get(title[1].lower(), "") if title else ""
        new.settle([_told_apart(names, self._above) for names in new.splittings], new.settled)
        if old is not None and old.settled and new.splittings[0][-1][2] == old.columns[-1][2]:
            same = [w for _, _, w in old.columns if w]
            if any(same == [w for _, _, w in names] for names in new.splittings):
                self._restarts = bool(new.separator)
                return True
        self._head, self._frame = new, {}
        return new.sure

    def _below(self, head: _Head, piece: str) -> bool:
        """Read what may stand between a head and its rows, or below them: rules, parts of names, and further columns."""
        if _RULE.match(piece):
            self._lengthen(head, piece)
            return True
        alone = _ALONE.search(piece) is not None
        if not alone and not head.rows:
            words = piece.split()
            if not head.separator and len(words) == 1 and _kind(words[0]) in ("step", "epoch"):
                head.settle([[(0, names[0][0], words[0]), *names] for names in head.splittings], settled=False)
                head.sure = True  # the name of an index stands in a line of its own
                return True
            if head.separator and "|" in piece.translate(_EDGE):
                self._lengthen(head, piece)
                return True
        if not alone and head.goes_on and head.rows:
            names = _words(_APART, piece.rstrip(" \\"))
            self._head = _Head(
                [[(0, 0, ""), *names]], "", True, goes_on=piece.rstrip().endswith("\\"), settled=True, rows=1
            )
            return True
        cells = _cut(piece.translate(_EDGE), "|") if head.separator else _words(_APART, piece)
        other = not alone and len(cells) > 2 and len(head.columns) - len(cells) in (0, 1)
        if other or not (head.sure or head.rows):
            self._head = None  # of another table, or it was no head
        return False

    @staticmethod
    def _lengthen(head: _Head, piece: str) -> None:
        """Add what a narrow head wraps into the lines below it to its names; a rule ends them, and the types of a frame follow."""
        if head.rows or head.separator != "|":
            return
        cells = _cut(piece.translate(_EDGE), "|")
        if len(cells) != len(head.columns) or (_RULE.match(piece) and "┆" not in piece):
            head.ended.update(range(len(head.columns)))
            return
        glue, columns = "" if "┆" in piece else " ", head.columns
        for k, (_, _, part) in enumerate(cells):
            if part == "---":
                head.ended.add(k)
            elif part and k not in head.ended:
                columns[k] = (0, 0, f"{columns[k][2]}{glue}{part}")
        head.settle([columns])

    def _plain(self, head: _Head, line: int, text: str, rank: int | None) -> bool:
        """Read a row that has a number, or nothing, for every name: that is most of them."""
        at, plan = head.counter, head.plan
        if at is None or not head.settled or head.goes_on or self._frame:
            return False
        cells = text.split() if not head.separator else _split(text, head.separator)
        if len(cells) != len(head.columns):
            return False
        plan = head.plan = plan or [self._key(head, k) for k in range(len(cells))]
        values: dict[str, float] = {}
        try:
            if not float(cells[at]) >= 0:
                return False
            for key, cell in zip(plan, cells):
                try:
                    value = float(cell)
                except ValueError:
                    read = _read(cell, head.of_memory)
                    if read is None:
                        continue
                    value = float(read)
                if key:
                    values[key] = value
        except ValueError:
            return False
        self._store(head, line, values, rank, 0.0)
        return True

    def _row(self, head: _Head, line: int, text: str, rank: int | None) -> bool:
        """Read a row; return whether the line is one, or begins like one."""
        if head.separator:
            words = [(0, 0, cell.strip()) for cell in _split(text, head.separator)]
            if len(words) < 2:
                return False
            if len(words) < len(head.columns) and head.separator == "\t":
                words += [(0, 0, "")] * (len(head.columns) - len(words))
        else:
            begins = text.lstrip()[:1]
            if not begins.isalnum() and begins not in "-+.…*":
                return False
            words = _tokens(text, tags=not head.has_sets)
        read = [_read(word) for _, _, word in words]
        numbers = sum(isinstance(value, float) for value in read)
        if not numbers:
            left_out = any(word in _LEFT_OUT for _, _, word in words) and all(value is None for value in read)
            if left_out and head.rows:
                self._note("a frame was printed without its middle: rows are left out where it has dots")
            return left_out
        cells = self._assigned(head, words)
        if cells is None or not self._fits(head, cells, bool(head.separator)):
            alike = isinstance(read[0], float) and len(read) > 1 and 2 * numbers >= len(read)
            if alike and (head.sure or head.rows):
                self._table.skip(line, f"not a row of the table above: {text.strip()[:80]}")
                return True
            return False
        if head.goes_on or self._frame:
            self._of_frame(head, line, cells, words[0][2])
        else:
            self._add(head, line, cells, rank)
        last = len(head.columns) - 1
        if not head.separator and last not in cells and len(text) < head.columns[last][0] and not _tagged(cells):
            self._short.append((len(self._table.lines) - 1, line))
        return True

    def _assigned(self, head: _Head, words: list[Word]) -> dict[int, str] | None:
        """Return the cells of a row by column; None where they do not fit the names."""
        count, cells = len(words), {k: word for k, (_, _, word) in enumerate(words)}
        tagged = not head.separator and _tagged(cells)
        if not head.settled and not any(isinstance(_read(word), str) for _, _, word in words):
            for names in head.splittings:
                if len(names) == count - 1 and words[0][1] <= names[0][0]:
                    names = [(words[0][0], words[0][1], ""), *names]  # an index has no name
                if len(names) == count:
                    head.settle([[(min(a, c), max(b, d), name) for (a, b, name), (c, d, _) in zip(names, words)]])
                    break
        columns = head.columns
        if count == len(columns) and not tagged:
            return cells
        if head.separator or count > len(columns) or head.counter is None:
            return None
        cells = {}
        for start, end, word in words:  # a cell stands below its name; what is blank is missing
            gaps = [max(a - end, start - b) for a, b, _ in columns]
            nearest = gaps.index(min(gaps))
            if cells and nearest <= max(cells):
                return None
            cells[nearest] = word
        return cells

    def _fits(self, head: _Head, cells: dict[int, str], wordy: bool) -> bool:
        """Tell whether cells can be a row: it counts something, and there are no words among them that say nothing."""
        at = head.counter
        if at is None or at not in cells:
            return at is not None and wordy and bool(head.rows)
        counted = _read(cells[at])
        if counted is None:
            return bool(head.rows)
        if isinstance(counted, str) or not counted >= 0:
            return False
        words = [c for c in cells.values() if isinstance(_read(c.rpartition(" ")[2] if _tagged({0: c}) else c), str)]
        return wordy or 2 * sum(word.lower() not in SPLITS for word in words) < len(cells) - 1

    def _add(self, head: _Head, line: int, cells: dict[int, str], rank: int | None) -> None:
        """Add a row of any cells; one that names a set belongs to it."""
        split, tagged, total = head.split, _tagged(cells), 0.0
        found: dict[int, tuple[float, str]] = {}
        for k, cell in cells.items():
            word, _, rest = cell.partition(" ")
            if tagged and word.lower() in SPLITS:
                split, cell = SPLITS[word.lower()], rest
            elif cell.lower() in SPLITS:
                split = SPLITS[cell.lower()]
                continue
            value = _read(cell, head.of_memory)
            if isinstance(value, str):
                self._words[head.columns[k][2]] += 1
            elif value is not None:
                found[k] = value, cell
                if k == head.counter and (fraction := _TOTAL.match(cell)):
                    total = float(fraction[2] or 0)
        keys = {k: self._key(head, k, split, tagged, cell) for k, (_, cell) in found.items()}
        self._store(head, line, {key: found[k][0] for k, key in keys.items() if key}, rank, total)

    def _key(self, head: _Head, k: int, split: str | None = None, tagged: bool = False, cell: str = "") -> str:
        """Return under which name a column is kept, "" for what only counts."""
        kind, name = head.kinds[k], head.columns[k][2]
        if k == head.counter:
            places = {"step": STEP, "epoch": "" if self._beside else EPOCH, "index": "" if self._beside else POSITION}
            return places[kind]
        if kind == "epoch" and not self._beside:
            return EPOCH
        if not name or name in _LEFT_OUT:
            return ""
        split = head.split if split is None else split
        if tagged and split and cell.endswith("s"):
            name = "runtime"
        return self._own(_of_set(name, split, tagged) if split else name)

    def _store(self, head: _Head, line: int, values: dict[str, float], rank: int | None, total: float) -> None:
        place = next((values[name] for name in (STEP, EPOCH, POSITION) if name in values), None)
        if place is not None:
            if self._restarts and place <= self._last:
                self._table.starts.append(line)
            self._restarts, self._last = False, place
            if STEP not in self._table.columns and not self._beside and place <= LARGEST[EPOCH]:
                self._table.last_step = int(place)
        head.rows += 1
        self._before()
        self._table.add(line, values, rank, total)

    def _own(self, name: str) -> str:
        """Return a name that no column of the other format has."""
        if not self._beside:
            return name
        own = f"{name} (table)"
        metric, scale = canonical(name) or (name, 1.0)
        self._table.names[own] = metric
        if scale != 1.0:
            self._table.scales[own] = scale
        return own

    def _of_frame(self, head: _Head, line: int, cells: dict[int, str], index: str) -> None:
        """Add a row of a frame that is printed in several parts, or the further columns of one."""
        if index not in self._frame:
            self._frame[index] = len(self._table.lines)
            self._add(head, line, cells, None)
            return
        for k, cell in cells.items():
            name, value = self._key(head, k), _read(cell)
            if name not in ("", POSITION) and isinstance(value, float):
                rows, column = self._table.columns.setdefault(name, ([], []))
                rows.append(self._frame[index])
                column.append(value)

    def _in_box(self, line: int, piece: str) -> bool:
        """Read a line of a box: a name with its number, a heading such as `train/`, or its beginning and end."""
        if self._box_total or "Learning iteration" in piece:
            found = _ITERATION.match(piece)
            if found:
                self._close_box()
                self._box, self._box_line, self._box_total = {STEP: float(found[1])}, line, float(found[2])
            elif item := _ITEM.match(piece):
                value = _read(item[2].strip())
                if isinstance(value, float):
                    self._box[item[1].strip()] = value
                return isinstance(value, float)
            return found is not None
        plain = piece.translate(_EDGE).strip()
        cells = plain[1:-1].split("|") if plain[:1] == "|" == plain[-1:] and len(plain) > 1 else []
        name = cells[0].strip() if len(cells) == 2 else ""
        if not name or isinstance(_read(name), float) or self._head_of_two():
            if self._box and _RULE.match(piece) and not any(mark in piece for mark in _WITHIN):
                self._close_box()
            return False
        indent, value = len(cells[0]) - len(cells[0].lstrip()), _read(cells[1])
        if name.endswith("/") and value is None:
            self._section, self._indent = name, indent
            return True
        if not isinstance(value, float):
            return False
        name = f"{self._section if indent > self._indent else ''}{name}"
        if name in self._box:
            self._close_box()
        self._box_line = self._box_line or line
        self._box[name] = value
        return True

    def _head_of_two(self) -> bool:
        return self._head is not None and self._head.separator == "|" and len(self._head.columns) == 2

    def _close_box(self) -> None:
        """Make a record of a box that counts steps, and a result of one that only holds measures of an evaluation."""
        box, line, total = self._box, self._box_line, self._box_total
        self._box, self._box_line, self._box_total, self._section = {}, 0, 0.0, ""
        if not box:
            return
        plain = {name: name.rpartition("/")[2].lower().replace(" ", "_") for name in box}
        step = next((name for name in box if plain[name] in _TIMESTEPS), None)
        step = STEP if STEP in box else step or next((name for name in box if _kind(plain[name]) == "step"), None)
        if step is not None and len(box) > 1 and any(map(_REINFORCED.search, box)):
            self._before()
            self._table.add(line, {STEP: box.pop(step), **box}, None, total)
        elif all(spelling(name).name.startswith(("val/", "test/")) for name in box):
            self._table.happened(Event("final_evaluation", self._table.last_step, "", dict(box)))

    def _note(self, note: str) -> None:
        if note not in self._table.notes:
            self._table.notes.append(note)

    def finish(self) -> None:
        """Leave out torn rows, make one count of all, and say what each column stands for."""
        self._close_box()
        table = self._table
        for name, count in self._words.items():
            if name in table.columns:
                table.skipped.append(Skipped(0, f'not a number in "{name}"', count, "value"))
        if words := [name for name in self._words if name and name not in table.columns]:
            table.notes.append(f"columns of words are not read: {', '.join(words)}")
        self._name_clocks()
        if self._beside:
            return
        if 0 < len(self._short) < FEWEST_SHORT:
            torn = {row for row, _ in self._short}
            for _, line in self._short:
                table.skip(line, "not a row of the table above: it ends before its last cells")
            table.keep(np.array([row not in torn for row in range(len(table.lines))], bool))
            table.tally.with_records -= len(torn)
            table.tally.lost += len(torn)
        self._place()
        units = {name: found[1] for name in table.columns if (found := _UNIT.search(name))}
        name_columns(table, {name: unit for name, unit in units.items() if _is_unit(unit)})

    def _place(self) -> None:
        """Make one count of steps, else of whole epochs, else of the records."""
        table = self._table
        if STEP in table.columns:
            table.columns.pop(POSITION, None)
            if EPOCH in table.columns:
                unroll(table)
            return
        place = table.cells(EPOCH if EPOCH in table.columns else POSITION)
        table.columns.pop(POSITION, None)
        if EPOCH in table.columns and not (place[np.isfinite(place)] % 1).any():
            table.config["step_kind"] = "epoch"
            table.columns.pop(EPOCH)
        else:
            table.config["step_kind"] = "record"
            place = np.arange(1.0, len(place) + 1) if EPOCH in table.columns else place
        table.put(STEP, place)

    def _name_clocks(self) -> None:
        """Tell the time since the start, which grows by as much from row to row, from the time that a row took."""
        for name, (_, cells) in self._table.columns.items():
            own = name.removesuffix(" (table)")
            mine = not self._beside or own != name
            if mine and (canonical(own) or ("",))[0] in ("time", "elapsed_s") and not own.endswith(_SHORT_TIMES):
                values = np.asarray(cells)
                if not (values < UNIX_TIMES).all():
                    continue
                elapsed = len(values) > 1 and (np.diff(values) > 0).all() and values[-1] >= ELAPSED * values[0]
                self._table.names[name] = "elapsed_s" if elapsed else "duration_s"


def _tagged(cells: dict[int, str]) -> bool:
    """Tell whether a cell names the set that its number was measured on: `val 3.150`."""
    return any(" " in cell and cell.partition(" ")[0].lower() in SPLITS for cell in cells.values())


def _of_set(name: str, split: str, all_of_it: bool) -> str:
    """Return the name of a column in a row, or in a table, that belongs to an evaluation set."""
    measure = (canonical(name) or ("",))[0]
    if "/" in measure or (of_training(name) and not all_of_it) or not (all_of_it or measure in _OF_A_SET):
        return name
    return f"{split} {_TRAINING.sub('', name).strip(' _/')}"


class _Beside:
    """Reads the tables in a log of another format: that takes the lines that are no part of a table."""

    def __init__(self, other: Scanner, table: Table) -> None:
        self._tables, self._other = TableScanner(table, beside=other), other

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        return self._tables.feed(line, piece) or self._other.feed(line, piece)

    def finish(self) -> None:
        """Do what can only be done when all pieces were seen."""
        self._tables.finish()
        self._other.finish()


def with_tables(make: Callable[[Table, str], Scanner]) -> Callable[[Table, str], Scanner]:
    """Return what makes a scanner that reads tables, too."""
    return lambda table, text: _Beside(make(table, text), table)


def may_hold_tables(text: str) -> bool:
    """Tell whether a text has a line that ends with names, a measure among them, or one that begins with a bar."""
    boxed = text[:1] in _BARS or any(begin in text for begin in ("\n|", "│", "┃", "║", "Learning iteration"))
    return boxed or any(word in text and ends.search(text) for word, ends in _ENDS.items())


def tables_in(sample: Iterable[tuple[int, str]]) -> tuple[int, list[str]]:
    """Return how many rows and boxes of tables there are among some pieces, and the pieces that are no part of them."""
    table = Table()
    scanner = TableScanner(table)
    rest = [piece for line, piece in sample if not scanner.feed(line, piece)]
    scanner.finish()
    return len(table.lines) + len(table.events), rest


class TableFormat(LineFormat):
    """Tables: a line is known as a row by the head above it."""

    def marked(self, piece: str) -> bool:
        """Tell whether a piece is surely the head of a table."""
        head = None if _ALONE.search(piece) else _head_of(piece)
        return head is not None and head.sure

    def hits(self, sample: Iterable[str]) -> int:
        """Count the rows and boxes among the pieces of a sample."""
        return tables_in(enumerate(sample))[0]


ALIGNED_TABLE = TableFormat(
    "aligned-table", "Tables under a head of names, boxes of names and numbers", TableScanner, ()
)
