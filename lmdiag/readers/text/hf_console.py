"""Dictionaries that the Hugging Face `Trainer` prints: `{'loss': 2.4137, 'learning_rate': 4.9e-05, 'epoch': 0.25}`.

Also of TRL, axolotl, unsloth, LLaMA-Factory and ms-swift. Since version 5 every number is a quoted string. The step is
not printed: it is taken from the progress bar beside the record, else from the epoch, else records are counted. What the
text between the numbers of a line means is found out once, and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text import ranks
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.table import STEP, Table
from lmdiag.run import Event

_QUOTES = str.maketrans("‘’‚‛“”„‟", "''''\"\"\"\"")  # of a forum's typography
_ITEM = lazy(
    r"""(?:'([^']+)'|"([^"]+)")\s*:\s*(?:(\{)|(?:[\w.]+\(\[*\s*)?['"]?([^'",(){}\[\]]*(?:\((?:s?nan|ind)\))?))|([{}])"""
)
_PLAIN = lazy(r"(\d+(?:\.\d*)?(?:e[-+]?\d+)?)")
_NUMBER = lazy(rf"(?:{NUM})$")
_FRACTION = lazy(r"(\d+)/(\d+)$")
_BAR = lazy(r"(\d+)/(\d+) \[[\d:?]+<")
_TRAINS = lazy(r"(?i:train|epoch|step|iter)")
_BESIDE = lazy(r"(?i)\b(?:(global[ _]step|step|iter(?:ation)?)|epoch)\W{0,4}(\d+(?:\.\d+)?)")
_SUMMARY = {"train_runtime", "train_loss"}
_STEPS = ("step", "global_step", "current_steps", "global_step/max_steps")
_TOTAL = "Total optimization steps"
_ANNOUNCED = lazy(rf"(Num Epochs|Num examples|{_TOTAL}|Total train batch size)(?: \([^)]*\))?\s*=\s*([\d,]+)")
_TORN = lazy(r"loss': |'epoch': |_rate': ")
_MEASURED = lazy(r"(?:^|[_/])(?:loss(?:$|/|_(?:avg|mean|step|epoch))|losses/)|^rewards?(?:$|[/_])|^grad_norm$")
_OF_A_RECORD = lazy(r"eval_|train_|learning_rate$")
MARK = lazy(
    r"""\{['"‘’“”](?:[a-z_/]*loss|eval_\w+|train_runtime|grad_norm|learning_rate|reward\w*)['"‘’“”]: .*['"‘’“”]epoch['"‘’“”]: """
    r"""|\{['‘’](?:eval_)?loss['‘’]: """
)
MOST_PLANS = 4096
LONGEST_HELD = 2000
MOST_HELD = 256
Items = dict[str, tuple[int, int]]


class Plan(NamedTuple):
    """How to read a text by the numbers in it: `fixed` ones are parts of names and words.

    A record is the places of its values, the names of those behind a minus sign, and its values that are words.
    """

    fixed: list[tuple[int, str]]
    records: list[tuple[dict[str, int], list[str], dict[str, float]]]


class ConsoleScanner:
    """Collects the dictionaries and the states of the progress bars next to them."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._plan: Plan | None = None
        self._same: list[tuple[int, int | None, list[str]]] = []  # lines, ranks and texts of its records not yet added
        self._held: tuple[int, str] | None = None  # the beginning of a dictionary that goes on in the next line
        self._bars: dict[int, dict[int, list[int]]] = {}  # total -> {rows read: first and last state since}
        self._total, self._count = 0, "/?"  # of the bar that was seen last
        self._head: dict[str, float] = {}  # what the head of a training announces
        self._heads: list[tuple[int, dict[str, float]]] = []  # rows before it, and a complete head
        self._epoch = 0.0
        self._ended = False
        self._parts: list[int] = []  # rows before a further training begins

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record or a state of the progress bar."""
        at = piece.find("{")
        if self._held:
            return self._go_on(line, piece)
        if at < 0 and "<" in piece and (end := self._draw(piece)):
            behind = end < len(piece) and not piece[end:].isspace()
            if behind:  # it may be a message
                self._flush()
            return not behind
        if at >= 0 and self._dictionaries(line, piece if piece.isascii() else piece.translate(_QUOTES), at):
            return True
        self._flush()
        if "= " in piece and (said := _ANNOUNCED.search(piece)):
            self._head[said[1]] = number(said[2])
            if said[1] == _TOTAL:
                self._heads.append((len(self._table.lines), self._head))
                self._head = {}
        return at < 0 and "': " in piece and "}" in piece and bool(_TORN.search(piece)) and self._torn(line, piece)

    def _go_on(self, line: int, piece: str) -> bool:
        """Read a piece that may be the rest of the dictionary that the piece before began."""
        assert self._held
        (first, before), self._held = self._held, None
        if piece.lstrip()[:1] in ("'", '"'):
            return self._dictionaries(first, f"{before} {piece}", before.find("{"))
        self._torn(first, before)
        return self.feed(line, piece)

    def _torn(self, line: int, piece: str) -> bool:
        self._table.skip(line, f"torn record: {piece.strip()[:80]}")
        return True

    def _dictionaries(self, line: int, piece: str, at: int) -> bool:
        """Read the dictionaries of a piece, the first of which begins at a place; return whether there was a record."""
        end = piece.rfind("}") + 1
        if end <= at:
            end = len(piece)
        parts = _PLAIN.split(piece[at:end])
        plan = self._plans.get(tuple(parts[::2]))
        if plan is None or self._ended or (plan.fixed and any(parts[k] != word for k, word in plan.fixed)):
            self._flush()
            return self._learn(line, piece, at, end)
        rank, beside = self._around(line, piece[:at], piece[end:]) if at or end < len(piece) else (None, None)
        if plan is not self._plan or beside or len(self._same) >= MOST_HELD:
            self._flush()
            self._plan = plan
        self._same.append((line, rank, parts))
        if beside or len(plan.records) > 1:
            self._flush(beside)
        if end < len(piece) and "<" in piece:
            self._draw(piece[end:])
        return True

    def _flush(self, beside: Mapping[str, float] | None = None) -> None:
        """Add the records of the same plan that were read last."""
        if not self._same or self._plan is None:
            return
        lines, ranks, texts = zip(*self._same)
        count = len(lines)
        columns = {}
        for places, negative, constant in self._plan.records:
            columns = {name: [value] * count for name, value in (beside or {}).items()}
            columns |= {name: [float(text[k]) for text in texts] for name, k in places.items()}
            columns |= {name: [-value for value in columns[name]] for name in negative}
            columns |= {name: [value] * count for name, value in constant.items()}
            self._table.extend(lines, columns, ranks)
        self._epoch = columns["epoch"][-1] if "epoch" in columns else self._epoch
        self._same = []

    def _around(self, line: int, head: str, tail: str) -> tuple[int | None, dict[str, float]]:
        """Return the rank that is named in front of a dictionary, and the step or epoch that is named beside it."""
        words, rank = payload(head) if head and not head.isspace() else ("", None)
        for text in (head, tail):
            if "': " in text and _TORN.search(text):
                self._torn(line, text)
                return rank, {}
        if "<" in head and self._draw(head):
            words = ""
        words += "" if "<" in tail else " " + tail
        found = _BESIDE.finditer(words) if len(words) > 3 else ()
        return rank, {STEP if match[1] else "epoch": float(match[2]) for match in found}

    def _learn(self, line: int, piece: str, at: int, end: int) -> bool:
        """Read dictionaries of a kind not seen before, and remember how, where all they hold are plain numbers."""
        body = piece[at:end]
        found, torn, loose = _items(body)
        records = [items for items in found if _is_record(items)]
        lost = _is_record(torn) or _is_record(loose)
        if torn and lost and not found and piece.rstrip().endswith(",") and len(piece) < LONGEST_HELD:
            self._held = line, piece.rstrip()
            return True
        if lost:
            self._torn(line, body)
        rank, beside = self._around(line, piece[:at], piece[end:]) if records else (None, {})
        plain = [self._record(line, {n: body[i:j] for n, (i, j) in items.items()}, rank, beside) for items in records]
        if plain and all(plain) and len(records) == len(found) and not torn and not loose:
            self._remember(body, records)
        self._draw(piece[end:])
        return lost or bool(records)

    def _record(self, line: int, words: Mapping[str, str], rank: int | None, beside: Mapping[str, float]) -> bool:
        """Add a record; return whether others of this kind can be read without a look at their words."""
        values, plain = dict(beside), True
        for name, word in words.items():
            if name in _STEPS and (fraction := _FRACTION.match(word)):
                values[STEP], plain = number(fraction[1]), False
                self._head[_TOTAL] = number(fraction[2])
            elif _NUMBER.match(word):
                values[STEP if name in _STEPS else name] = number(word)
        if words.keys() >= _SUMMARY:  # with token counts every record has a runtime
            self._table.happened(Event("end", None, str(words)[:300], {"status": "completed", **values}))
            self._ended = True
            return False
        if len(values) > len(beside):
            self._add(line, values, rank)
        return plain and len(values) > len(beside)

    def _remember(self, body: str, records: list[Items]) -> None:
        """Keep which number of such a text goes where; those that are no whole value must be the same again."""
        parts = _PLAIN.split(body)
        number_at = {match.start(): (2 * k + 1, match.end()) for k, match in enumerate(_PLAIN.finditer(body))}
        plan = Plan([], [])
        for items in records:
            places, negative, constant = {}, [], {}
            for name, (start, stop) in items.items():
                word, column = body[start:stop], STEP if name in _STEPS else name
                place, end = number_at.get(start + (word[:1] in ("-", "+")), (0, 0))
                if place and end == stop:
                    places[column] = place
                    negative += [column] if word[0] == "-" else []
                elif _NUMBER.match(word):
                    constant[column] = number(word)
            plan.records.append((places, negative, constant))
        used = {place for places, _, _ in plan.records for place in places.values()}
        plan.fixed.extend((k, parts[k]) for k in range(1, len(parts), 2) if k not in used)
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        self._plans[tuple(parts[::2])] = plan

    def _add(self, line: int, values: Mapping[str, float], rank: int | None) -> None:
        epoch = values.get("epoch")
        if epoch is not None:
            if self._ended and epoch < self._epoch:
                self._parts.append(len(self._table.lines))
                self._ended = False
            self._epoch = epoch
        self._table.add(line, values, rank)

    def _draw(self, text: str) -> int:
        """Take the states of the bars in a text that may be of the training; return where the last bar ends, 0 for none."""
        at = text.find(self._count)  # mostly it is the bar that was seen last
        if at > 0 and (done := text[text.rfind(" ", 0, at) + 1 : at]).isdigit():
            end = text.find("]", at) + 1
            if text[0] in " 0123456789" and end and (end == len(text) or "<" not in text[end:]):
                self._take(int(done), self._total)
                return end
        end = 0
        while bar := _BAR.search(text, end):
            before, end = text[end : bar.start()], text.find("]", bar.end()) + 1 or len(text)
            if not _is_other(before):
                self._total, self._count = int(bar[2]), f"/{bar[2]} ["
                self._take(int(bar[1]), self._total)
        return end

    def _take(self, done: int, total: int) -> None:
        row, states = len(self._table.lines) + len(self._same), self._bars.get(total)
        if states is None:
            states = self._bars[total] = {}
        if row in states:
            states[row][1] = done
        else:
            states[row] = [done, done]

    def finish(self) -> None:
        """Give every record a step."""
        self._flush()
        if self._held:
            self._torn(*self._held)
            self._held = None
        table = self._table
        place = np.concatenate([[0], np.cumsum(self._without_history(ranks.merge(table)))])
        self._parts = place[np.asarray(self._parts, np.int64)].tolist()
        self._heads = [(int(place[row]), head) for row, head in self._heads]
        bars = {total: _renumbered(states, place) for total, states in self._bars.items()}
        count = len(table.lines)
        spans = list(pairwise([0, *self._parts, count]))
        plans = [self._planned(start, stop, bars) for start, stop in spans]
        if len(spans) > 1:
            table.totals = np.repeat(np.asarray(plans, float), np.diff([0, *self._parts, count]))
        if len(spans) == 1 and plans[0]:
            put_fact(table.config, "max_steps", plans[0])
        own, epoch, train = table.cells(STEP), table.cells("epoch"), self._is_train()
        if not count or not np.isnan(own).any():
            return
        found = [_beside_bar(bars.get(plan), a, train[a:b], epoch[a:b]) for (a, b), plan in zip(spans, plans)]
        parts, how = [part for part in found if part is not None], "the progress bar"
        if len(parts) < len(spans):
            by_epoch = self._by_epoch(plans[0], epoch, train) if len(spans) == 1 else None
            parts, how = [] if by_epoch is None else [by_epoch], "the epoch"
        if not parts and not np.isnan(own).all():
            named = np.flatnonzero(~np.isnan(own))
            before = np.searchsorted(named, np.arange(count), side="right") - 1
            parts, how = [own[named[np.maximum(before, 0)]]], "the records around that name one"
        if not parts:
            parts, how = [np.maximum(np.cumsum(train[start:stop]), 1.0) for start, stop in spans], ""
            table.config["step_kind"] = "record"
        table.put(STEP, np.where(np.isnan(own), np.concatenate(parts), own))
        table.notes.append(
            f"steps are inferred from {how}" if how else "the log prints no steps; its records are counted"
        )
        table.happened(Event("inferred", None, f"steps from {how or 'counting records'}"))

    def _without_history(self, stays: np.ndarray) -> np.ndarray:
        """Leave out the records that a printed list of the whole history repeats with their steps; return which rows stay."""
        table = self._table
        lines, losses, listed = np.asarray(table.lines, np.int64), table.cells("loss"), ~np.isnan(table.cells(STEP))
        of_lists = lines[1:][listed[1:] & (lines[1:] == lines[:-1])]
        if not len(of_lists):
            return stays
        before = (lines < of_lists[-1]) & ~listed
        listed_losses, others = (losses[rows & ~np.isnan(losses)] for rows in (lines == of_lists[-1], before))
        alike = np.isclose(listed_losses[: len(others)], others[: len(listed_losses)], rtol=2e-3, atol=1e-4)
        if not len(others) or len(others) > len(listed_losses) or not alike.all():
            return stays
        table.notes.append(f"{int(before.sum())} records stand in a printed history, too, which names their steps")
        stays[stays] = ~before
        table.keep(~before)
        return stays

    def _announced(self, start: int) -> dict[str, float]:
        """Return what the head of the training says that begins at a row."""
        heads = [head for row, head in self._heads if row <= start] or [head for _, head in self._heads[:1]]
        return heads[-1] if heads else self._head

    def _planned(self, start: int, stop: int, bars: Mapping[int, np.ndarray]) -> int:
        """Return how many steps the training of some rows was to take: as announced, else the total of its bar, else 0."""
        if said := self._announced(start).get(_TOTAL):
            return int(said)
        seen = {}
        for total, (rows, _, last) in bars.items():
            states = last[slice(*np.searchsorted(rows, [start, stop + 1]))]
            seen[total] = len(np.unique(states)), total
        return max((total for total in seen if seen[total][0]), key=lambda total: seen[total], default=0)

    def _by_epoch(self, planned: int, epoch: np.ndarray, train: np.ndarray) -> np.ndarray | None:
        """Take the steps from the epochs, as many in each as the sizes or the plan say; with `max_steps` the last one is cut."""
        said = self._announced(0)
        epochs, batch = said.get("Num Epochs", 0), said.get("Total train batch size", 0)
        each = planned / epochs if epochs else 0
        for round_up in (np.floor, np.ceil) if batch else ():
            whole = float(round_up(said.get("Num examples", 0) / batch))
            if whole and np.ceil(planned / whole) == epochs:
                each = whole
        if not planned or not each or np.isnan(epoch).any():
            return None
        steps = np.maximum(np.round(epoch * each), 1)
        if train.sum() > 2:  # epochs are rounded; equally spaced records tell the steps exactly
            every = np.median(np.diff(steps[train]))
            snapped = np.round(steps / every) * every if every >= 1 else steps
            steps = np.where((np.abs(snapped - steps) <= planned * 0.01) & (snapped > 0), snapped, steps)
        return steps

    def _is_train(self) -> np.ndarray:
        evaluated = np.zeros(len(self._table.lines), bool)
        for name, (rows, _) in self._table.columns.items():
            if name.startswith("eval_"):
                evaluated[rows] = True
        return ~evaluated


def _renumbered(states: Mapping[int, list[int]], place: np.ndarray) -> np.ndarray:
    """Return the states of a bar as int[3, n]: rows that stayed and had been read, the first state after these, the last."""
    rows = place[np.fromiter(states, np.int64)]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    shown = np.array(list(states.values()))
    return np.stack([rows[starts], shown[starts, 0], shown[np.append(starts[1:], len(rows)) - 1, 1]])


def _beside_bar(bar: np.ndarray | None, start: int, train: np.ndarray, epoch: np.ndarray) -> np.ndarray | None:
    """Take the steps of rows from the states of a bar before and behind them, whichever are the more regular."""
    if bar is None or not len(train):
        return None
    (rows, first, last), here = bar, start + np.arange(len(train))
    at, next_at = np.searchsorted(rows, here, side="right") - 1, np.searchsorted(rows, here + 1)
    before = np.where((at >= 0) & (rows[at] >= start) & (last[at] > 0), last[at], np.nan)  # no record stands at 0
    next_at = np.minimum(next_at, len(rows) - 1)
    behind = np.where((rows[next_at] == here + 1) & train, first[next_at], np.nan)
    behind[behind < before] = np.nan
    steps, other = (behind, before) if _regular(behind[train]) >= _regular(before[train]) else (before, behind)
    lag = (steps - other)[train & ~np.isnan(steps - other)]
    steps = np.where(np.isnan(steps), other + (np.median(lag) if len(lag) else 0.0), steps)
    latest = np.maximum.accumulate(np.where(train, np.arange(len(train)), -1))  # the training record before each row
    steps = np.where(train, steps, np.where(latest < 0, before, np.fmax(before, steps[latest])))
    if (steps > 0).mean() <= 0.9 or len(np.unique(steps[train])) < 0.8 * len(np.unique(epoch[train])):
        return None
    return np.where(steps > 0, steps, np.nanmin(steps[steps > 0]))


def _is_other(before: str) -> bool:
    """Tell whether the text before the counts of a bar names what it shows, and that is no training: Map, Loading weights."""
    title = before.partition("%|")[0].rstrip("0123456789 ")
    named = payload(title + " ")[0] if title.endswith(":") else ""
    return bool(named) and not _TRAINS.search(named)


def _is_record(names: Iterable[str]) -> bool:
    """Tell whether a dictionary with these names is a record, and not one of settings."""
    named = list(names)
    placed = "epoch" in named or "eval_runtime" in named or any(step in named for step in _STEPS)
    return any(_MEASURED.search(name) or (placed and _OF_A_RECORD.match(name)) for name in named)


def _regular(steps: np.ndarray) -> tuple[float, float, int]:
    """Tell how far steps are those of a Trainer that logs every so often: equally spaced, and multiples of the spacing."""
    known = steps[~np.isnan(steps)]
    if len(known) < 2:
        return 0.0, 0.0, len(known)
    every = float(np.median(np.diff(known)))
    multiples = float((known % every == 0).mean()) if every > 0 else 0.0
    return float((np.diff(known) == every).mean()), multiples, len(known)


def _items(text: str) -> tuple[list[Items], Items, Items]:
    """Return where the words of each dictionary in a text stand, and those of one torn at its end, and at its start."""
    found: list[Items] = []
    loose: Items = {}
    current: Items | None = None
    path: list[tuple[str, int]] = []  # the nested dictionaries that are open, and how many items stood before each
    for item in _ITEM.finditer(text):
        name, word = item[1] or item[2] or "", item[4]
        if item[5] == "{" and current is None:
            current, path = {}, []
        elif item[3] or item[5] == "{":
            path.append((name, len(current or ())))
        elif item[5] and path and current is not None:
            name, before = path.pop()
            if len(current) == before + 1 and not name.startswith("eval_"):
                _, span = current.popitem()
                current[_nested(path, name)] = span  # a number that stands alone is called as its dictionary
        elif item[5]:
            found += [current] if current is not None else []
            current = None
        else:
            span = item.start(4), item.start(4) + len(word.rstrip())
            (loose if current is None else current)[_nested(path, name)] = span
    return found, current or {}, loose


def _nested(path: list[tuple[str, int]], name: str) -> str:
    """Join the names of nested dictionaries: {'eval_loss': {'easy': 2.1}} holds `eval_easy_loss`, as the Trainer says it."""
    names = [*(outer for outer, _ in path), name]
    if len(names) > 1 and names[0].startswith("eval_"):
        return "_".join(["eval", *names[1:], names[0].removeprefix("eval_")])
    return "/".join(names)


HF_CONSOLE = LineFormat(
    "huggingface-console",
    "Hugging Face Trainer, printed dictionaries",
    ConsoleScanner,
    tuple((brace, MARK) for brace in ("{'", '{"', "{‘", "{’", "{“", "{”")),
    names={"eval_loss": "val/loss"},
    reductions={"loss": "window_mean"},
)
