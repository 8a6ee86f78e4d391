"""Progress bars that show the loss, of many kinds, and what is printed between them.

A bar is drawn several times at a count. Some programs count first and then show the loss, so that the last state at a
count is that of its step. Others show the loss while the bar still stands at the count before: their bar shows a loss
before anything is counted, and each new value belongs to the next step. The line that Keras draws shows means of the
epoch so far: only its last state counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import metric_of
from lmdiag.readers.tables.runs import prefer_printed, tell_apart
from lmdiag.readers.tables.table import EPOCH, RANK, STEP, TOTAL, Table
from lmdiag.readers.text.named_lines import EPOCHS
from lmdiag.readers.text.named_number_line import Line, parse
from lmdiag.readers.text.named_numbers import FEWEST_RECORDS, PairScanner
from lmdiag.readers.text.pieces import pieces
from lmdiag.readers.text.plans import Plans, Record

_COUNT = r"(?P<n>\d[\d.]{0,12}[kKMG]?)"
_OF = rf"{_COUNT}/(?P<total>[\d.]{{1,13}}[kKMG]?|\?)"
_CLOSED = r"(?P<closed>\])?"  # missing where the bar was cut off at the width of the terminal
Kinds = tuple[tuple[str, re.Pattern[str]], ...]
BARS: Kinds = (  # hint, what is drawn between the description and the text behind the bar
    ("%|", lazy(rf"\d{{0,3}}%\|[^|]*\|\s*{_OF}\s*\[(?P<inside>[^\]%]*(?:%(?!\|)[^\]%]*)*){_CLOSED}")),  # tqdm
    ("it [", lazy(rf"(?<![\w.]){_COUNT}it \[(?P<inside>[^\]]*){_CLOSED}")),  # of unknown length
    ("<", lazy(rf"(?<![\w./]){_OF}\s*\[(?P<inside>\d+:\d\d(?::\d\d)?<[^\]]*){_CLOSED}")),  # without a bar
    ("]", lazy(rf"\[{_OF}\]\s+\d{{1,3}}%\|[^\s,|]*\s*(?P<inside>[^|\[]*)\[[\d:]+<[^\]]*(?P<closed>\])")),  # ignite
    ("<", lazy(rf"\|[█\-]*\| [\d.]{{1,6}}% \[{_OF} (?P<inside>[^\]]*){_CLOSED}")),  # fastprogress
    (" of ", lazy(r"\d{1,3}% \((?P<n>\d{1,12}) of (?P<total>\d{1,12})\)(?: \|[^|]*\|)?")),  # progressbar2
    ("] in ", lazy(rf"\|[^|]*\|[^|\d]*{_OF} \[\d{{1,3}}%\] in [^()]*\([^)]*\)")),  # alive-progress
    ("━", lazy(rf"(?<![━╸╺])[━╸╺]{{3,}}\s*(?:\d{{1,3}}%\s*)?{_OF}(?=\s)")),  # rich
    ("Progress on:", lazy(rf"(?<=Progress on:)\w+ {_COUNT}it/(?P<total>[\d.]{{1,13}}[kKMG]?)it rate:.*?postfix:")),
)
_KERAS = r"(?<![\w./])(?P<n>\d{1,9})/(?P<total>\d{1,9}|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-)(?=\s)"
KERAS: Kinds = (("/", lazy(_KERAS)),)
_EVALUATION = lazy(r"\W*(?:val(?:id(?:at\w+)?)?|eval(?:uat\w+)?|test(?:ing)?|sanity)(?![a-z])", re.IGNORECASE)
_EPOCH = lazy(r"\b(?:epochs?|ep)\W*(\d+)(?:\s*(?:/|of)\s*(\d+))?", re.IGNORECASE)
_CHECKPOINT = lazy(r"\bEpoch \d+, global step \d+: '?[\w/.-]+'? (?:reached|was not in top)\b")  # of Lightning
_HEADLINE = lazy(r"^\W*epoch\W*(\d+)(?:\W+(?:of\W+)?(\d+))?\W*$", re.IGNORECASE)
_EPOCH_AND_STEP = lazy(r"^(\d+)\|(\d+)\|")  # torchtune
_WORD = lazy(r"[^A-Za-z]*([A-Za-z]*)")
LOSS = lazy(r"loss|ppl|perplexity", re.IGNORECASE)
_CLOCK = lazy(r"^[\d:?]+(?:<[\d:?]+(?: days?)?)?(?:,\s*(?:[\d.]+[kKMG]?|\?)\s*[\w ]*/\s*\w+)?[,.\s]*")
_NOT_BEGUN = lazy(r"^[\d:]+(?:<\?|, *\?)")
_STEP_TIME = lazy(rf"({NUM})(us|ms|s)/step")
COUNT = " count"  # where a bar stands
PRINTED = 1 << 18  # characters of a log in which records printed beside the bar are looked for
Values = dict[str, float]


class Drawn(NamedTuple):
    """What a state of a bar says beside its numbers: the same for all states of its text."""

    word: str  # that its description begins with
    units: dict[str, str]
    evaluates: bool
    begun: bool  # the clock runs


@lru_cache(maxsize=1024)
def is_held(name: str) -> bool:
    """Tell whether a bar goes on showing this value until it is measured again: of an evaluation, or of an epoch."""
    return "/" in metric_of(name) or name.lower().endswith("_epoch") or bool(_EVALUATION.match(name))


def bars_in(text: str, kinds: Kinds = BARS) -> list[re.Match[str]]:
    """Return the bars of a piece: redraws and messages often stand on one line."""
    for hint, kind in kinds:
        if hint in text and (found := list(kind.finditer(text))):
            return found
    return []


def states_in(piece: str, kinds: Kinds = BARS) -> list[Record]:
    """Return the states of bars that a piece draws, and what is printed where a bar happened to stand.

    >>> states_in("Epoch 2:  50%|██  | 5/10 [00:01<00:01, 5.1it/s, loss=2.5]")[0][0]
    {'loss': 2.5, ' count': 5.0, 'epoch': 2.0, ' total': 10.0}
    """
    bars = bars_in(piece, kinds)
    if not bars or not LOSS.search(piece):
        return [({}, "")] if bars else []
    end, records = bars[0].start(), []
    desc, rank = payload(f"{piece[:end]}.")
    for match, following in zip(bars, [*bars[1:], None]):
        desc = desc.removesuffix(".") or piece[end : match.start()]
        if piece[match.start()] == "%":  # the bar before was cut off, and its text runs into this one
            desc = desc.rstrip("0123456789")
        end = _end_of(piece, match, following.start()) if following else len(piece)
        after = piece[match.end() : end]
        printed = "inside" in match.re.groupindex and bool(after) and not after.isspace() and _is_printed(after)
        records += _state(rank, desc, match, "" if printed else after, len(bars) > 1)
        records += [({}, after)] if printed else []
        desc = ""
    return records or [({}, "")]


def _is_printed(after: str) -> bool:
    """Tell whether what stands behind a bar was printed where the bar happened to stand: a record with its place, or a message of a logger."""
    return parse(after).placed or len(payload(after)[0]) < len(after.strip())


def _end_of(text: str, match: re.Match[str], following: int) -> int:
    """Return where what belongs to a bar ends, and the description of the next one on the line begins."""
    closed = match.groupdict().get("closed", "]")
    epoch = _EPOCH.search(text, match.end() if closed else match.start("inside"), following)
    return epoch.start() if epoch else match.end() if LOSS.search(text, 0, match.end()) else following


def _state(rank: int | None, desc: str, match: re.Match[str], after: str, several: bool) -> list[Record]:
    groups = match.groupdict()
    inside, total = groups.get("inside") or "", groups.get("total") or "?"
    if not groups.get("closed", "]"):
        inside, after = inside.rpartition(",")[0], ""  # the last number may have lost digits
    desc = _EPOCH_AND_STEP.sub(r"epoch \1, step \2, ", desc)
    epoch, word, took = _EPOCH.search(desc), _WORD.match(desc), _STEP_TIME.search(after)
    plain = f"{desc[: epoch.start()]},{desc[epoch.end() :]}" if epoch else desc
    text = f"{plain.rstrip(': ')}, {_CLOCK.sub('', inside)}, {after}"
    line = Line() if several and not LOSS.search(text) else parse(text)
    if not line.values:
        return []
    place = {
        COUNT: number(match["n"], suffixed=True),
        STEP: line.step,
        EPOCH: number(epoch[1]) if epoch else line.epoch,
        EPOCHS: float((epoch and epoch[2]) or line.epochs) or None,
        TOTAL: number(total, suffixed=True) if total[0].isdigit() else None,
        RANK: rank,
        "step_time_s": number(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[took[2]] if took else None,
    }
    values, evaluates = line.values, bool(_EVALUATION.match(plain))
    if evaluates:
        values = {name if "/" in metric_of(name) else f"val {name}": value for name, value in values.items()}
    values.update({name: float(value) for name, value in place.items() if value is not None})
    begun = not ("?" in inside and _NOT_BEGUN.match(inside))
    return [(values, Drawn(word[1].lower() if word else "", line.units, evaluates, begun))]


def _changed(values: Values, before: Values) -> Values:
    """Return the values that are not as before; NaN is as NaN."""
    return {n: v for n, v in values.items() if v != before.get(n) and (v == v or before.get(n, 0) == before.get(n, 0))}


@dataclass
class _Bar:
    """One bar of a process: the count at which it stands and the states drawn there that are no rows yet."""

    rank: int | None
    total: float
    epoch: float | None
    whole: bool  # the last state stands for an epoch, or is no step where it `evaluates`
    evaluates: bool
    shown: Values  # what was drawn last
    was_ahead: bool = False  # in the epoch before
    ahead: bool | None = None  # shows values of the step that is not yet counted; None: not known yet
    count: float = -1
    exact: bool = True  # every step was drawn so far
    states: list[tuple[int, Values, bool]] = field(default_factory=list)  # line, values, and whether they are new
    given: tuple[float, Values] = (-1, {})  # the step that was added last, and its values
    rows: list[int] = field(default_factory=list)

    def of(self, *names: str) -> Values:
        """Return where the bar stands, as far as it says so."""
        said = {EPOCH: self.epoch, RANK: self.rank, TOTAL: self.total or None}
        return {name: value for name in names if (value := said[name]) is not None}


class BarScanner:
    """Reads bars, and the named numbers of the lines between; where those are records of single steps, only them.

    With `whole_epochs` the last state of an epoch stands for all of it, and one that was cut short is skipped. Such a bar
    counts samples in old versions and steps in later ones: the epoch is the step where none was seen to count from 1.
    """

    def __init__(self, table: Table, text: str, kinds: Kinds = BARS, whole_epochs: bool = False) -> None:
        self.plans = Plans(partial(states_in, kinds=kinds))
        self._table, self._whole_epochs = table, whole_epochs
        self._prints = PairScanner(table, text)
        self._bars: dict[tuple[int | None, str, float], _Bar] = {}
        self._last: dict[int | None, _Bar] = {}  # the bar that a process drew last
        self._held: dict[int | None, Values] = {}  # what a process showed last
        self._epoch: float | None = None  # that a line of its own announced
        self._evaluated: set[int] = set()  # rows of evaluations that a bar showed
        self._beside = _records_beside(text, kinds)
        self._of_steps = False  # a bar counts them; one of Keras counts samples, unless it was seen at 1
        self._bare = False  # the bar drawn last showed no loss

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a bar or a record."""
        records = self.plans.read(piece)
        if not records and "%|" in piece and "[" in piece and LOSS.search(piece):
            self._table.skip(line, f"looks like a progress bar and is none: {piece.strip()[:80]}")
            return True
        for values, drawn in records:
            if values and not self._beside:
                self._draw(line, values, drawn)
                self._bare = False
            elif not drawn:
                self._bare = True
            elif drawn and not values:
                self._print(line, drawn)
        return bool(records) or self._print(line, piece)

    def _print(self, line: int, piece: str) -> bool:
        if self._last and "global step" in piece and _CHECKPOINT.search(piece):
            return False  # the bar shows the value, and the event that it is tells the step
        headline = _HEADLINE.match(payload(piece)[0]) if "poch" in piece else None
        if headline:
            if self._epoch is None:  # the log begins with the bar of an epoch whose own line is cut off
                for bar in [bar for bar in self._last.values() if bar.whole and bar.epoch is None]:
                    bar.epoch = number(headline[1]) - 1
            self._epoch = number(headline[1])
            if headline[2]:
                self._count_epochs(number(headline[2]))
        if "poch" in piece or LOSS.search(piece):
            for bar in [bar for bar in self._last.values() if not bar.whole or (headline and bar.count >= bar.total)]:
                self._settle(bar)
        return self._prints.feed(line, piece)

    def _count_epochs(self, epochs: float) -> None:
        self._table.plans_epochs(epochs)
        self._table.of_epochs.add(True)

    def _draw(self, line: int, values: Values, drawn: Drawn) -> None:
        rank = int(values.pop(RANK)) if RANK in values else None
        total, epoch = values.pop(TOTAL, 0.0), values.pop(EPOCH, self._epoch)
        count, step = values.pop(COUNT), values.pop(STEP, None)
        if EPOCHS in values:
            self._count_epochs(values.pop(EPOCHS))
        counts = count == 1 if self._whole_epochs else count > 0 or step is not None
        self._of_steps = self._of_steps or counts
        key = rank, "" if self._whole_epochs else drawn.word, total
        bar, before = self._bars.get(key), self._last.get(rank)
        if before and before is not bar:
            self._settle(before)
        at = count if step is None else step
        if bar is None:
            whole, shown = self._whole_epochs or drawn.evaluates, before.shown if before else {}
            bar = self._bars[key] = _Bar(rank, total if step is None else 0, epoch, whole, drawn.evaluates, shown)
        if at < bar.count or epoch != bar.epoch:
            self._settle(bar)
            bar.epoch, bar.was_ahead, bar.ahead = epoch, bool(bar.ahead), None
            bar.count, bar.exact, bar.given = -1, True, (-1, {})
        for name, unit in drawn.units.items():
            self._table.units.setdefault(name, unit)
        self._last[rank] = bar
        fresh, bar.shown = bool(_changed(values, bar.shown)) or len(values) < len(bar.shown), values
        if bar.ahead is None:
            begun = step is not None or bar.whole or (count > 0 and drawn.begun)
            if not begun and not fresh and not (bar.was_ahead and self._bare):
                return  # what the epoch before showed last
            bar.ahead, bar.count = not begun, at
        elif at != bar.count and not bar.whole:
            self._settle(bar, at)
            if bar.ahead and not fresh:  # the values of this very step, drawn again as the bar counted on
                self._add(bar, line, at, values)
                bar.count = at
                return
        if not bar.ahead:
            bar.states.clear()
        bar.count = at
        bar.states.append((line, values, fresh))

    def _settle(self, bar: _Bar, count: float | None = None) -> None:
        """Add the states of a bar that counts on to `count`, or that is not drawn any more for now."""
        states, bar.states = bar.states, []
        if bar.evaluates and states:
            self._evaluated.add(len(self._table.lines))
            self._table.add(states[-1][0], states[-1][1] | bar.of(EPOCH, RANK))
        elif bar.whole and bar.count < bar.total and states:
            self._table.skip(states[-1][0], f"epoch {bar.epoch or 1:g} stopped at {bar.count:g} of {bar.total:g}")
        elif not bar.ahead:
            for line, values, _ in states:
                self._add(bar, line, bar.count, values)
        else:
            full = count is None and 0 < bar.total == bar.count
            whole = states[-1] if states and full else None
            while count is None and states and (full or not states[-1][2]):
                states.pop()  # the last redraws show nothing new
            bar.exact = bar.exact if count is None else len(states) == count - bar.count
            for step, (line, values, _) in enumerate(states, 1) if bar.exact else ():
                self._add(bar, line, bar.count + step, values)
            for line, values, _ in [] if bar.exact else states[-1:]:
                self._add(bar, line, count or bar.count + 1, values)
            if whole:
                self._end(bar, *whole[:2])

    def _end(self, bar: _Bar, line: int, values: Values) -> None:
        """Add what was measured at the end of an epoch: all of it where any of it is new."""
        held = self._held.setdefault(bar.rank, {})
        measured = {name: value for name, value in values.items() if is_held(name)}
        if _changed(measured, held):
            self._held[bar.rank] = {name: value for name, value in held.items() if name not in measured}
            self._add(bar, line, bar.count, measured)

    def _add(self, bar: _Bar, line: int, step: float, values: Values) -> None:
        """Add what is new in a state."""
        held = self._held.setdefault(bar.rank, {})
        new = _changed(values, bar.given[1]) if bar.given[0] == step else values
        if not self._whole_epochs:  # whose last state is measured anew, even where it comes out the same
            new = {name: v for name, v in new.items() if not is_held(name) or _changed({name: v}, held)}
        bar.given = step, values
        if new:
            held.update(new)
            bar.rows.append(len(self._table.lines))
            if bar.epoch is None:  # what is printed behind it may number it
                self._prints.open.append(len(self._table.lines))
            self._table.add(line, {**new, **bar.of(EPOCH, RANK, TOTAL), STEP: step})

    def settle(self) -> None:
        """Add the states that were drawn last: a record follows."""
        for bar in self._last.values():
            self._settle(bar)

    def finish(self) -> None:
        """Add the last states, tell apart what is shown of several losses, and make one count of all epochs."""
        self.settle()
        bars = {key: bar for key, bar in self._bars.items() if bar.rows}
        if bars and all(word in ("epoch", "epochs") and bar.epoch is None for (_, word, _), bar in bars.items()):
            self._table.config["step_kind"] = "epoch"
        for name in () if self._of_steps else (STEP, TOTAL):
            cells = self._table.cells(name)
            cells[[row for bar in bars.values() for row in bar.rows]] = np.nan
            self._table.put(name, cells)
        prefer_printed(self._table, self._evaluated)
        tell_apart(self._table, [bar.rows for bar in bars.values()], is_held)
        self._prints.finish()


def _records_beside(text: str, kinds: Kinds) -> bool:
    """Tell whether a log prints losses of single steps beside its bars."""
    others = (piece for _, piece in pieces(text[:PRINTED]) if "oss" in piece and not bars_in(piece, kinds))
    lines = (parse(payload(piece)[0]) for piece in others)
    placed = (line for line in lines if line.step is not None or None not in (line.epoch, line.position))
    losses = (line for line in placed if "loss" in map(metric_of, line.values))
    return any(count == FEWEST_RECORDS for count, _ in enumerate(losses, 1))
