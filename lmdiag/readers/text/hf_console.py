"""Dictionaries that the Hugging Face `Trainer` prints: `{'loss': 2.4137, 'learning_rate': 4.9e-05, 'epoch': 0.25}`.

Also of TRL, axolotl, unsloth, LLaMA-Factory and ms-swift. Since version 5 every number is a quoted string. The step is
not printed: it is taken from the progress bar beside the record, else from the epoch, else records are counted.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables import ranks
from lmdiag.readers.tables.runs import steps_of_epochs
from lmdiag.readers.tables.table import RANK, STEP, TOTAL, Table, filled
from lmdiag.readers.text.line_format import NOTHING, LineFormat, Said
from lmdiag.readers.text.plans import Plans, Record
from lmdiag.run import Event

_QUOTES = str.maketrans("‘’‚‛“”„‟", "''''\"\"\"\"")  # of a forum's typography
_ITEM = lazy(
    r"""(?:'([^']+)'|"([^"]+)")\s*:\s*(?:(\{)|(?:[\w.]+\(\[*\s*)?['"]?([^'",(){}\[\]]*(?:\((?:s?nan|ind)\))?))|([{}])"""
)
_NUMBER = lazy(rf"(?:{NUM})$")
_FRACTION = lazy(r"(\d+)/(\d+)$")
_BAR = lazy(r"(\d+)/(\d+) \[[\d:?]+<")
_TRAINS = lazy(r"(?i:train|epoch|step|iter)")
_BESIDE = lazy(r"(?i)\b(?:(global[ _]step|step|iter(?:ation)?)|epoch)\W{0,4}(\d+(?:\.\d+)?)")
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


def records_of(piece: str) -> list[Record]:
    """Return the records of the dictionaries in a piece, with the rank and the step that are named around them.

    >>> [values for values, _ in records_of("[rank0]: step 7: {'loss': '2.5', 'grad_norm': nan}")]
    [{'step': 7.0, 'loss': 2.5, 'grad_norm': nan, ' rank': 0}]
    """
    piece = piece.translate(_QUOTES)
    at, stop = piece.find("{"), piece.rfind("}") + 1
    head, body, tail = (piece[:at], piece[at:stop], piece[stop:]) if stop > at else (piece[:at], piece[at:], "")
    found, torn = _items(body)
    told = [items for items in found if _is_record(items)]
    text, rank = payload(head)
    around = (text, tail) if told else ()
    lost = [*([body] if any(map(_is_record, torn)) else []), *filter(_is_torn, around)]
    words = " ".join(part.partition(" <")[0] for part in around if not _is_torn(part))
    beside = {STEP if match[1] else "epoch": float(match[2]) for match in _BESIDE.finditer(words)}
    records: list[Record] = [({}, Said(lost=text)) for text in lost]
    for items in told:
        values = dict(beside)
        for name, word in items.items():
            if name in _STEPS and (fraction := _FRACTION.match(word)):
                values[STEP], values[TOTAL] = number(fraction[1]), number(fraction[2])
            elif _NUMBER.match(word):
                values[STEP if name in _STEPS else name] = number(word)
        if items.keys() >= {"train_runtime", "train_loss"}:  # with token counts every record has a runtime
            records.append((values, Said(event=str(items)[:300])))
        elif len(values) > len(beside):
            records.append((values if rank is None else {**values, RANK: rank}, NOTHING))
    return records


class ConsoleScanner:
    """Collects the dictionaries and the states of the progress bars next to them."""

    def __init__(self, table: Table, text: str) -> None:
        self.plans = Plans(records_of)
        self._table = table
        self._bars: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))  # total: row, first, last state, …
        self._total, self._count = 0, "/?"  # of the bar that was seen last
        self._heads: list[tuple[int, dict[str, float]]] = [(0, {})]  # rows before, and what the head of a training says
        self._ends: list[int] = []  # rows before the summary of a training

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record or a state of the progress bar."""
        if "{" in piece:
            if self._dictionaries(line, piece):
                return True
        elif "<" in piece and (end := self._draw(piece)):
            return end == len(piece) or piece[end:].isspace()  # else it may be a message
        if "= " in piece and (said := _ANNOUNCED.search(piece)):
            if said[1] in self._heads[-1][1] and self._heads[-1][0] < len(self._table.lines):
                self._heads.append((len(self._table.lines), {}))
            self._heads[-1][1][said[1]] = number(said[2])
        return "{" not in piece and "}" in piece and _is_torn(piece) and self._torn(line, piece)

    def _torn(self, line: int, piece: str) -> bool:
        self._table.skip(line, f"torn record: {piece.strip()[:80]}")
        return True

    def _dictionaries(self, line: int, piece: str) -> bool:
        """Read the dictionaries of a piece and the bars around them; return whether there was a record."""
        rank, tail = None, ""
        if "<" in piece:
            at, stop = piece.find("{"), piece.rfind("}") + 1
            if not _is_torn(piece[:at]) and self._draw(piece[:at]):
                rank = payload(piece[:at])[1] if piece.find("%|", 0, 5) < 0 else None  # early: no rank before it
                piece, stop = piece[at:], stop - at
            if stop > 0 and "<" in piece[stop:] and not _is_torn(piece[stop:]):
                piece, tail = piece[:stop], piece[stop:]
        records = self.plans.read(piece)
        for values, said in records:
            if said is NOTHING:
                self._table.add(line, values if rank is None else {RANK: rank, **values})
            elif said.event:
                self._table.happened(Event("end", None, said.event, {"status": "completed", **values}))
                self._ends.append(len(self._table.lines))
            else:
                self._torn(line, said.lost)
        if tail:
            self._draw(tail)
        return bool(records)

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
            title = text[end : bar.start()].partition("%|")[0].rstrip("0123456789 ")
            named = payload(title + " ")[0] if title.endswith(":") else ""
            end = text.find("]", bar.end()) + 1 or len(text)
            if not named or _TRAINS.search(named):  # and not what it maps, or loads
                self._total, self._count = int(bar[2]), f"/{bar[2]} ["
                self._take(int(bar[1]), self._total)
        return end

    def _take(self, done: int, total: int) -> None:
        row, states = len(self._table.lines), self._bars[total]
        if states and states[-3] == row:
            states[-1] = done
        else:
            states.extend((row, done, done))

    def finish(self) -> None:
        """Give every record a step."""
        table = self._table
        place = np.concatenate([[0], np.cumsum(ranks.merge(table))])
        bars = {total: np.array(states).reshape(-1, 3).T for total, states in self._bars.items()}
        for rows, _, _ in bars.values():
            rows[:] = place[rows.astype(np.int64)]
        count, own, epoch = len(table.lines), table.cells(STEP), table.cells("epoch")
        evaluated = [rows for name, (rows, _) in table.columns.items() if name.startswith("eval_")]
        train = ~np.isin(np.arange(count), np.concatenate([np.zeros(0, int), *evaluated]))
        known = np.flatnonzero(~np.isnan(epoch))
        falls = np.append(known[1:][np.diff(epoch[known]) < 0], count)  # behind a summary, a further training begins
        edges = sorted({0, count, *falls[np.searchsorted(falls, place[np.asarray(self._ends, np.int64)])].tolist()})
        spans = list(pairwise(edges))
        heads = [[head for row, head in self._heads if place[row] <= start][-1] for start in edges]
        said = [head.get(_TOTAL) or np.max(table.totals[a:b], initial=0) for head, (a, b) in zip(heads, spans)]
        plans = [int(total) or _planned(bars, *span) for total, span in zip(said, spans)]
        if len(spans) > 1:
            table.totals = np.repeat(np.asarray(plans, float), np.diff(edges))
        elif any(plans):
            put_fact(table.config, "max_steps", plans[0])
        if not np.isnan(own).any():
            return
        found = [_beside_bar(bars.get(plan), a, train[a:b], epoch[a:b]) for (a, b), plan in zip(spans, plans)]
        parts, how = [part for part in found if part is not None], "the progress bar"
        if len(parts) < len(spans):
            each = _each_epoch(heads[0], plans[0]) if len(spans) == 1 and len(known) == count else 0.0
            parts, how = [steps_of_epochs(epoch, train, each, plans[0])] if each else [], "the epoch"
        if not parts and not np.isnan(own).all():
            parts, how = [filled(own)], "the records around that name one"
        if not parts:
            parts, how = [np.maximum(np.cumsum(train[start:stop]), 1.0) for start, stop in spans], ""
            table.config["step_kind"] = "record"
        table.put(STEP, np.where(np.isnan(own), np.concatenate(parts), own))
        counted = "the log prints no steps; its records are counted"
        table.notes.append(f"steps are inferred from {how}" if how else counted)
        table.happened(Event("inferred", None, f"steps from {how or 'counting records'}"))


def _planned(bars: Mapping[int, np.ndarray], start: int, stop: int) -> int:
    """Return how many steps the training of some rows was to take: the total of its bar, 0 where it has none."""
    shown = {total: last[slice(*np.searchsorted(rows, [start, stop + 1]))] for total, (rows, _, last) in bars.items()}
    return max(((len(np.unique(states)), total) for total, states in shown.items() if len(states)), default=(0, 0))[1]


def _each_epoch(said: Mapping[str, float], planned: int) -> float:
    """Return how many steps each epoch has, as the sizes say or else the plan, 0 where neither does."""
    epochs, batch = said.get("Num Epochs", 0), said.get("Total train batch size", 0)
    for rounded in (np.ceil, np.floor) if batch and planned else ():
        each = float(rounded(said.get("Num examples", 0) / batch))
        if each and np.ceil(planned / each) == epochs:  # with `max_steps` the last epoch is cut
            return each
    return planned / epochs if epochs else 0.0


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


def _is_torn(text: str) -> bool:
    return "': " in text and bool(_TORN.search(text))


def _is_record(items: Mapping[str, str]) -> bool:
    """Tell whether a dictionary is a record, and not one of settings."""
    placed = not items.keys().isdisjoint({"epoch", "eval_runtime", *_STEPS})
    return any(_MEASURED.search(name) or (placed and _OF_A_RECORD.match(name)) for name in items)


def _regular(steps: np.ndarray) -> tuple[float, float, int]:
    """Tell how far steps are those of a Trainer that logs every so often: equally spaced, and multiples of the spacing."""
    known = steps[~np.isnan(steps)]
    gaps = np.diff(known)
    every = float(np.median(gaps)) if len(gaps) else 0.0
    multiples = float((known % every == 0).mean()) if every > 0 else 0.0
    return float((gaps == every).mean()) if len(gaps) else 0.0, multiples, len(known)


def _items(text: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the words of each dictionary in a text, and of those that are torn at its start and its end."""
    found: list[dict[str, str]] = []
    loose: dict[str, str] = {}
    current: dict[str, str] | None = None
    path: list[tuple[str, int]] = []  # the nested dictionaries that are open, and how many items stood before each
    for item in _ITEM.finditer(text):
        name = item[1] or item[2] or ""
        if item[5] == "{" and current is None:
            current, path = {}, []
        elif item[3] or item[5] == "{":
            path.append((name, len(current or ())))
        elif item[5] and path and current is not None:
            name, before = path.pop()
            if len(current) == before + 1 and not name.startswith("eval_"):
                current[_nested(path, name)] = current.popitem()[1]  # one that stands alone is called as its dictionary
        elif item[5]:
            found += [current] if current is not None else []
            current = None
        else:
            (loose if current is None else current)[_nested(path, name)] = item[4].rstrip()
    return found, [loose, current or {}]


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
    reductions={"loss": "window_mean"},
)
