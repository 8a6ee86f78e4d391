"""Dictionaries that the Hugging Face `Trainer` prints: `{'loss': 2.4137, 'learning_rate': 4.9e-05, 'epoch': 0.25}`.

Also of TRL, axolotl, unsloth, LLaMA-Factory, ms-swift and the authors of DPO. Since version 5 every number is a quoted string. The step is
not printed: it is taken from the progress bar beside the record, else from the epoch, else records are counted.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import canonical
from lmdiag.readers.tables.steps_beside_bars import BATCH, EPOCHS, EXAMPLES, TOTAL_STEPS, place
from lmdiag.readers.tables.table import RANK, STEP, TOTAL, Table
from lmdiag.readers.text.line_format import NOTHING, LineFormat, LineScanner, Said
from lmdiag.readers.text.plans import Plan, Record
from lmdiag.run import Event

_QUOTES = str.maketrans("‘’‚‛“”„‟", "''''\"\"\"\"")  # of a forum's typography
_ITEM = lazy(
    r"""(?:'([^']+)'|"([^"]+)")\s*:\s*(?:(\{)|(?:[\w.]+\(\[*\s*)?['"]?([^'",(){}\[\]]*(?:\((?:s?nan|ind)\))?))|([{}])"""
)
_NUMBER = lazy(rf"(?:{NUM})$")
_FRACTION = lazy(r"(\d+)/(\d+)$")
_BAR = lazy(r"(\d+)/(\d+) \[[\d:?]+<")
_TRAINS = lazy(r"(?i:train|epoch|step|iter)")
_BESIDE = lazy(r"(?i)\b(?:(global[ _]step|step|iter(?:ation)?)|epoch)\W{0,4}\s*(\d+(?:\.\d+)?)")
_STEPS = ("step", "global_step", "current_steps", "global_step/max_steps", "counters/updates")
_ANNOUNCED = lazy(rf"({EPOCHS}|{EXAMPLES}|{TOTAL_STEPS}|{BATCH})(?: \([^)]*\))?\s*=\s*([\d,]+)")
_TORN = lazy(r"loss': |'epoch': |_rate': ")
_MEASURED = lazy(r"(?:^|[_/])(?:loss(?:$|/|_(?:avg|mean|step|epoch))|losses/)|^rewards?(?:$|[/_])|^grad_norm$")
_OF_A_RECORD = lazy(r"eval_|train_|learning_rate$")
MARK = lazy(
    r"""\{['"‘’“”](?:[a-z_/]*loss|eval_\w+|train_runtime|grad_norm|learning_rate|reward\w*)['"‘’“”]: .*['"‘’“”]epoch['"‘’“”]: """
    r"""|\{['‘’](?:eval_)?loss['‘’]: |\{'(?:rewards|logps)_(?:train|eval)/\w+': """
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


class ConsoleScanner(LineScanner):
    """Collects the dictionaries and the states of the progress bars next to them."""

    def __init__(self, table: Table, text: str) -> None:
        super().__init__(table, records_of)
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
        if torn := "{" not in piece and "}" in piece and _is_torn(piece):
            self._table.skip(line, f"torn record: {piece.strip()[:80]}")
        return torn

    def is_plain(self, plan: Plan) -> bool:
        """Tell whether a plan is sure, and its lines are records without a bar beside them."""
        return not plan.unchecked and plan.about is NOTHING and "<" not in plan.pattern

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
                self._table.skip(line, f"torn record: {said.lost.strip()[:80]}")
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
        bars = {total: np.array(states).reshape(-1, 3).T for total, states in self._bars.items()}
        place(self._table, bars, self._heads, self._ends)


def _is_torn(text: str) -> bool:
    return "': " in text and bool(_TORN.search(text))


def _is_record(items: Mapping[str, str]) -> bool:
    """Tell whether a dictionary is a record, and not one of settings."""
    placed = not items.keys().isdisjoint({"epoch", "eval_runtime", *_STEPS})
    return any(_MEASURED.search(name) or (placed and _OF_A_RECORD.match(name)) for name in items)


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
            if len(current) == before + 1 and canonical(name) and not name.startswith("eval_"):
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
    marks=tuple((brace, MARK) for brace in ("{'", '{"', "{‘", "{’", "{“", "{”")),
    reads=ConsoleScanner,
    reductions={"loss": "window_mean"},
)
