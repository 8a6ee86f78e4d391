"""Tables that are drawn with text: the names of their head, where these stand, and the cells of the rows below."""

from __future__ import annotations

import re
from collections import Counter

from lmdiag.naming import SPLITS, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import MARKS, NUM, cell_value
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import canonical, counts_epochs, counts_steps, is_split

_MEASURES = ("loss", "ppl", "perplexity", "xent", "nll", "bpb", "bpc")
ALONE = lazy(r"(?<![\w.@#/(\[+-])[-+]?\.?\d")  # a number that is no part of a name
BARS = "|│┃║┆╎"
EDGE = str.maketrans(BARS, "||||||")
_OF_NUMBERS = frozenset("0123456789-+.nNiI")  # what they, and missing ones, begin with
_TITLE = lazy(
    r"(?i)\W*(?:(?:results|metrics|losses) (?:of|on|for) (?:the )?)?(train|val|eval|test|dev)[a-z]*(?: (?:set|split|data|results?|metrics|table|summary|losses|history|phase))*(?:\W+(?:at |after )?(?:step|epoch|iter\w*)\W*\d+)?\W*$"
)
_COUNTERS = {"": "index", "#": "step", "e": "epoch", "epochs": "epoch", "itn": "epoch", "itn.": "epoch"}
_STARS = lazy(r"^\s*\*{2,}\s|\s\*{2,}\s*$")  # **** Epoch | Loss ****
_SETS = frozenset("split set subset mode phase stage partition type dataset data part".split())  # columns that name one
_ITEM = lazy(rf"\s+([A-Z][\w \-/().]*?): ({NUM}\s?[A-Za-z%/]*)(?: \(.*\))?\s*$")
_COMMENT = lazy(r"\s*#+\s*(?=(?:epoch|step|iter\w*)\b)", re.IGNORECASE)  # before a head, as numpy writes one
APART, _BLANKLESS = lazy(r"\S+(?: \S+)*"), lazy(r"\S+")
Word = tuple[int, int, str]  # where it begins and ends in its line
Value = float | str | None
LONGEST_NAME, MOST_COLUMNS = 40, 200


class Head:
    """The names of a table and where they stand; of several ways to cut them, the first full row below tells the right one."""

    def __init__(self, ways: list[list[Word]], separator: str, split: str, prefixed: bool) -> None:
        # "" for blanks; the set that the line above names; whether a logger's prefix stands before every line
        self.separator, self.split, self.prefixed, self.rows = separator, split, prefixed, 0
        self.take(ways, settled=bool(separator))
        self.of_sets = self.counter is None and self.names[0].lower() in _SETS  # rows at the step of the record above
        self.sure = self.counter is not None or self.of_sets  # the names alone tell that it is one

    def take(self, ways: list[list[Word]], settled: bool) -> None:
        """Take the first of some ways for the columns, for good if that is settled."""
        self.ways, self.columns, self.settled = ways, ways[0], settled
        self.names = [name for _, _, name in self.columns]
        self.kinds = [kind_of(name) for name in self.names]
        # steps count where there are any, else epochs, else the index of a frame
        self.counter = next((self.kinds.index(k) for k in ("step", "epoch", "index") if k in self.kinds), None)
        self.of_memory = any(spelling(name).name.endswith("_bytes") for name in self.names)
        self.keys: dict[tuple[str, str], list[str]] = {}  # by the set of a row: under which name each cell is kept

    def placed(self, text: str) -> tuple[list[str], str]:
        """Return the cells of a row by column, and the set that a word among them names; no cells where they do not fit."""
        if not self.separator and self.columns[0][2].endswith(":"):
            text = text.replace(":", " ", 1)  # `ITER:  LOSS` above `1881:  1.656`
        cells = cells_between(text, self.separator)
        plain = self.separator or (self.settled and _OF_NUMBERS.issuperset([cell[0] for cell in cells]))
        if plain and len(cells) == len(self.columns):
            return cells, ""
        if self.separator or len(cells) > 3 * len(self.columns):  # with a unit and a mark
            return [], ""
        words, split = _tokens(text, tags=_SETS.isdisjoint(name.lower() for name in self.names))
        if words and not self.settled and not any(isinstance(cell_value(word), str) for _, _, word in words):
            index = [(*words[0][:2], "")]  # that of a frame has no name
            ways = [*self.ways, *(index + names for names in self.ways if words[0][1] <= names[0][0])]
            if fitting := [names for names in ways if len(names) == len(words)]:
                both = zip(fitting[0], words)
                self.take([[(min(a, c), max(b, d), name) for (a, b, name), (c, d, _) in both]], settled=True)
        return (_below(words, self.columns) if self.counter is not None else []), split

    def fits(self, cells: list[str], values: list[Value]) -> bool:
        """Tell whether cells can be a row: it counts something, and there are no words among them that say nothing."""
        if self.counter is None or not cells:
            return False
        counted = values[self.counter]
        if counted is None:
            goes_on = self.rows and (self.separator or cells[self.counter])
            return bool(goes_on) and any(isinstance(value, float) for value in values)
        if isinstance(counted, str) or not counted >= 0:
            return False
        if self.separator or str not in map(type, values):
            return True
        words = [value for value in values if isinstance(value, str) and value.lower() not in SPLITS]
        return 2 * len(words) < sum(map(bool, cells)) - 1


def head_of(piece: str, above: str = "") -> Head | None:
    """Return what a line of names may be the head of; the line `above` it may name sets, or that of the table."""
    lower = piece.lower()
    at = lower.find("loss") if "loss" in lower else max(map(lower.find, _MEASURES))
    by_sets = at < 0 and "train" in lower and "val" in lower  # Epoch  Train  Valid
    at = lower.find("train") if by_sets else at
    if at < 0 or ALONE.search(piece, at) or len(piece) > MOST_COLUMNS * LONGEST_NAME:
        return None  # most lines have a number behind the name of the loss
    prefixed = ALONE.search(piece) is not None
    text = (payload(piece)[0] if prefixed else piece).translate(EDGE)
    if prefixed and ALONE.search(text):
        return None
    text = _STARS.sub(lambda found: " " * len(found[0]), text) if "**" in text else text
    text = _COMMENT.sub(lambda mark: " " * len(mark[0]), text, 1) if text.lstrip()[:1] == "#" else text
    separator = next((mark for mark in "|\t;," if mark in text.strip()), "")
    ways = [_words(APART, text), _words(_BLANKLESS, text)]
    ways[0] = _grouped(ways[1]) if len(ways[0]) < 2 else ways[0]
    if separator:
        ways = [[(0, 0, cell.strip(" *`")) for cell in cells_between(text, separator)]]
    loose = len(ways[0]) < 2 or (not separator and len(_words(APART, text)) < 2)
    ways = [names for names in ways if 1 < len(names) <= MOST_COLUMNS]
    if not ways or any(len(name) > LONGEST_NAME for _, _, name in ways[0]):
        return None
    split = SPLITS.get(title[1].lower(), "") if (title := _TITLE.match(above)) else ""
    head = Head([_told_apart(names, above) for names in ways], separator, split, prefixed)
    if loose and (("none" in head.kinds) or (head.of_sets and not all(map(canonical, head.names[1:])))):
        head.sure = head.of_sets = False  # Set loss scale to
    sets = {SPLITS.get(name.lower()) for name in head.names}
    return head if not by_sets or (head.sure and {"", "val"} <= sets) else None


def kind_of(name: str) -> str:
    """Return what a name counts: step, epoch or index; else metric, or none for what is no name."""
    if counter := _COUNTERS.get(name.lower()):
        return counter
    name = name.strip("_")
    if counts_steps(name):
        return "step"
    if counts_epochs(name):
        return "epoch"
    return "metric" if name[:1].isalpha() else "none"


def _words(pattern: re.Pattern[str], text: str) -> list[Word]:
    return [(found.start(), found.end(), found[0]) for found in pattern.finditer(text)]


def _grouped(words: list[Word]) -> list[Word]:
    """Join the words of names that are known only together: `Step Training Loss Validation Loss`."""
    grouped: list[Word] = []
    for start, end, word in words:
        begin, stop, before = grouped[-1] if grouped else (0, -2, "")
        alone = is_split(before) or (canonical(before) is None and kind_of(before) == "metric")
        if start - stop == 1 and alone and not is_split(word) and canonical(f"{before} {word}"):
            grouped[-1] = (begin, end, f"{before} {word}")
        else:
            grouped.append((start, end, word))
    return grouped


def cells_between(text: str, separator: str) -> list[str]:
    """Return the cells between separators, or blanks."""
    if separator != "|":
        return text.strip("\r\n").split(separator) if separator else text.split()
    return (text if text.isascii() else text.translate(EDGE)).strip().removeprefix("|").removesuffix("|").split("|")


def _told_apart(names: list[Word], above: str) -> list[Word]:
    """Put the sets that stand above them, `train            val`, before names that come twice, else their number behind them."""
    often, seen = Counter(name for _, _, name in names), Counter[str]()
    sets = _words(_BLANKLESS, above) if all(word.lower() in SPLITS for word in above.split()) else []
    told = []
    for start, end, name in names:
        seen[name] += 1
        if name and often[name] > 1 and sets and end:
            name = f"{min(sets, key=lambda word: abs(word[0] + word[1] - start - end))[2]} {name}"
        elif name and seen[name] > 1:
            name = f"{name} ({seen[name]})"
        told.append((start, end, name))
    return told


def _tokens(text: str, tags: bool) -> tuple[list[Word], str]:
    """Return the cells of a row between blanks: a unit belongs to the number before it, a mark to none.

    With `tags` a set belongs to the number behind it, as in `20    val 3.150`, and is returned as well.
    """
    tokens, split = list[Word](), ""
    for start, end, word in [word for word in _words(_BLANKLESS, text) if word[2].strip(MARKS)]:
        begin, stop, before = tokens[-1] if tokens else (0, -2, "")
        if tags and before.lower() in SPLITS and isinstance(cell_value(word), float):
            split = SPLITS[before.lower()]
            tokens[-1] = (begin, end, word)
        elif start - stop == 1 and before[0] in _OF_NUMBERS and _is_cell(f"{before} {word}"):
            tokens[-1] = (begin, end, f"{before} {word}")
        else:
            tokens.append((start, end, word))
    return tokens, split


def _is_cell(words: str) -> bool:
    return words == "No log" or isinstance(cell_value(words), float)


def _below(words: list[Word], columns: list[Word]) -> list[str]:
    """Return the cells of a row by the names they stand below, "" for what is blank; none where two are below one."""
    if len(words) >= len(columns):
        return [word for _, _, word in words] if len(words) == len(columns) else []
    cells, last = [""] * len(columns), -1
    for start, end, word in words:
        nearest = min(range(len(columns)), key=lambda k: max(columns[k][0] - end, start - columns[k][1]))
        if nearest <= last:
            return []
        cells[nearest], last = word, nearest
    return cells


def pair(piece: str, of_block: bool) -> tuple[int, str, Value]:
    """Return the indent, the name and the value of a line `| name | value |`, or of a block `  Name: value`; else no name."""
    item = _ITEM.match(piece) if of_block else None
    cells = item.groups() if item else cells_between(piece, "|") if not of_block else ()
    if len(cells) != 2 or not cells[0].strip() or isinstance(cell_value(cells[0]), float):
        return 0, "", ""
    return len(cells[0]) - len(cells[0].lstrip()), cells[0].strip(), cell_value(cells[1])
