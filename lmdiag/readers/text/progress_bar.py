"""Progress bars that show the loss, of many kinds, and what is printed between them.

A bar is drawn several times at a count. Some programs count first and then show the loss, so that the last state at a
count is that of its step. Others show the loss while the bar still stands at the count before: their bar shows a loss
before anything is counted, and each new value belongs to the next step. The line that Keras draws shows means of the
epoch so far: only its last state counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.named_number_line import Line, parse
from lmdiag.readers.text.named_numbers import paired
from lmdiag.readers.text.names import canonical
from lmdiag.readers.text.pieces import payload, pieces
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table

_COUNT = r"(?P<n>\d[\d.]{0,12}[kKMG]?)"
_OF = rf"{_COUNT}/(?P<total>[\d.]{{1,13}}[kKMG]?|\?)"
_CLOSED = r"(?P<closed>\])?"  # missing where the bar was cut off at the width of the terminal
_KERAS = lazy(r"(?<![\w./])(?P<n>\d{1,9})/(?P<total>\d{1,9}|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-)(?=\s)")
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
_EVALUATION = lazy(r"\W*(?:val(?:id(?:at\w+)?)?|eval(?:uat\w+)?|test(?:ing)?|sanity)(?![a-z])", re.IGNORECASE)
_EPOCH = lazy(r"\b(?:epochs?|ep)\W*(\d+)(?:\s*(?:/|of)\s*(\d+))?", re.IGNORECASE)
_HEADLINE = lazy(r"^\W*epoch\W*(\d+)(?:\W+(?:of\W+)?(\d+))?\W*$", re.IGNORECASE)
_EPOCH_AND_STEP = lazy(r"^(\d+)\|(\d+)\|")  # torchtune
_WORD = lazy(r"[^A-Za-z]*([A-Za-z]*)")
_LOSS = lazy(r"loss|ppl|perplexity", re.IGNORECASE)
_SHOWN = lazy(rf"[\W\d_]*(?:\w+ )?[\w/]*(?:loss|ppl|perplexity)[\w/]*[\s=:]+{NUM}", re.IGNORECASE)
_CLOCK = lazy(r"^[\d:?]+(?:<[\d:?]+(?: days?)?)?(?:,\s*(?:[\d.]+[kKMG]?|\?)\s*[\w ]*/\s*\w+)?[,.\s]*")
_NOT_BEGUN = lazy(r"^[\d:]+(?:<\?|, *\?)")
_STEP_TIME = lazy(rf"({NUM})(us|ms|s)/step")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
PRINTED = 1 << 18  # characters of a log in which records printed beside the bar are looked for
FEW = 3


@lru_cache(maxsize=1024)
def _metric(name: str) -> str:
    return (canonical(name) or ("",))[0]


@lru_cache(maxsize=1024)
def _is_held(name: str) -> bool:
    """Tell whether a bar goes on showing this value until it is measured again: of an evaluation, or of an epoch."""
    return "/" in _metric(name) or name.lower().endswith("_epoch") or bool(_EVALUATION.match(name))


@lru_cache(maxsize=256)
def _held(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if _is_held(name))


@dataclass
class _Bar:
    """One bar of a process: the count at which it stands and the states drawn there that are no rows yet."""

    rank: int | None
    word: str  # that its description begins with
    total: float
    shown: str = ""  # the training values that were drawn last
    count: float = -1
    epoch: float | None = None
    ahead: bool | None = None  # shows values of the step that is not yet counted; None: not known yet
    was_ahead: bool = False  # in the epoch before
    exact: bool = True  # every step was drawn so far
    states: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    n_new: int = 0  # so many of these are no mere redraws
    given: tuple[float, dict[str, float]] = (-1, {})  # the step that was added last, and its values
    rows: list[int] = field(default_factory=list)


class BarScanner:
    """Reads bars, and the named numbers of the lines between; where those are records of single steps, only them."""

    bars: Kinds = BARS
    whole_epochs = False  # the last state of an epoch stands for all of it

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._prints = paired()(table, text)
        self._bars: dict[tuple[int | None, str, str], _Bar] = {}
        self._last: dict[int | None, _Bar] = {}  # the bar that a process drew last
        self._evaluations: dict[int | None, tuple[float, int, dict[str, float]]] = {}
        self._held: dict[tuple[int | None, str], str] = {}
        self._names: set[str] = set()
        self._epoch: float | None = None  # that a line of its own announced
        self._open: list[int] = []  # rows of bars that are in an epoch without a number so far
        self._of_epochs: list[int] = []  # rows printed without a step
        self._parsed: tuple[str, Line] = "", Line()
        self._beside = _records_beside(text, self.bars)

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a bar or a record."""
        bars = bars_in(piece, self.bars)
        if not bars:
            if "%|" in piece and "[" in piece and _LOSS.search(piece):
                self._table.skip(line, f"looks like a progress bar and is none: {piece.strip()[:80]}")
                return True
            return self._print(line, piece)
        if not _LOSS.search(piece):
            return True
        end = bars[0].start()
        desc, rank = ("", None) if piece[:end].isspace() or not end else payload(f"{piece[:end]}.")
        desc = desc[:-1]
        for match, following in zip(bars, [*bars[1:], None]):
            desc = desc or piece[end : match.start()]
            if piece[match.start()] == "%":  # the bar before was cut off, and its text runs into this one
                desc = desc.rstrip("0123456789")
            end = _end_of(piece, match, following.start()) if following else len(piece)
            after = piece[match.end() : end]
            printed = "inside" in match.re.groupindex and bool(after) and not after.isspace() and parse(after).placed
            self._draw(line, rank, desc, match, "" if printed else after, len(bars) > 1)
            if printed:  # where the bar happened to stand
                self._print(line, after)
            desc = ""
        return True

    def _print(self, line: int, piece: str) -> bool:
        if "poch" in piece and (headline := _HEADLINE.match(payload(piece)[0])):
            self._epoch = number(headline[1])
            if headline[2]:
                self._table.config.setdefault("epochs", int(headline[2]))
        columns = self._table.columns
        if "poch" in piece or _LOSS.search(piece):
            for bar in self._last.values():
                if not self.whole_epochs or bar.count >= bar.total:
                    self._settle(bar)
            if self._open and "poch" in piece:
                self._close_epoch(parse(payload(piece)[0]))
        before = len(self._table.lines)
        taken = self._prints.feed(line, piece)
        for row in range(before, len(self._table.lines)):
            if not any(name in columns and columns[name][0][-1] >= row for name in (STEP, POSITION)):
                self._of_epochs.append(row)
        return taken

    def _close_epoch(self, printed: Line) -> None:
        """Number the rows of bars that say no epoch by what is printed behind it."""
        if printed.judged and printed.epoch is not None and printed.step is None:
            rows, values = self._table.columns.setdefault(EPOCH, ([], []))
            rows.extend(self._open)
            values.extend([printed.epoch] * len(self._open))
            self._open = []

    def _draw(self, line: int, rank: int | None, desc: str, match: re.Match[str], after: str, several: bool) -> None:
        groups = match.re.groupindex
        inside = (match["inside"] or "") if "inside" in groups else ""
        if "closed" in groups and not match["closed"]:
            inside, after = inside.rpartition(",")[0], ""  # the last number may have lost digits
        epoch, both = (_EPOCH.search(desc), _EPOCH_AND_STEP.match(desc)) if desc else (None, None)
        plain = f"{desc[: epoch.start()]},{desc[epoch.end() :]}" if epoch else desc[both.end() :] if both else desc
        clock = _CLOCK.match(inside)
        text = f"{plain.rstrip(': ')}, {inside[clock.end() :] if clock else inside}, {after}"
        if self._beside or (several and not _LOSS.search(text)):
            return
        if text != self._parsed[0]:
            self._parsed = text, parse(text)
        named = self._parsed[1]
        if not named.values:
            return
        values = dict(named.values)
        if "/step" in after and (step_time := _STEP_TIME.search(after)):
            values["step_time_s"] = number(step_time[1]) * _SECONDS[step_time[2]]
        if epochs := (epoch and epoch[2]) or named.epochs:
            self._table.config.setdefault("epochs", int(epochs))
        for name, unit in named.units.items():
            self._table.units.setdefault(name, unit)
        at_epoch = number((epoch or both)[1]) if epoch or both else named.epoch  # type: ignore[index]
        if at_epoch is not None or self._epoch is not None:
            values[EPOCH] = self._epoch if at_epoch is None else at_epoch  # type: ignore[assignment]
        count, step = number(match["n"], suffixed=True), number(both[2]) if both else named.step
        if _EVALUATION.match(plain):
            self._evaluate(line, rank, count, values)
            return
        total = match["total"] if "total" in groups else "?"
        word = _WORD.match(desc) if desc else None
        key = rank, word[1].lower() if word else "", total
        bar = self._bars.get(key)
        if bar is None:
            planned = number(total, suffixed=True) if total[0].isdigit() else 0.0
            bar = self._bars[key] = _Bar(rank, key[1], planned, self._last[rank].shown if rank in self._last else "")
        if step is not None:
            bar.total = 0
        begun = (
            step is not None or self.whole_epochs or not (count == 0 or ("?" in inside and _NOT_BEGUN.match(inside)))
        )
        self._train(line, bar, count if step is None else step, begun, values, text)

    def _evaluate(self, line: int, rank: int | None, count: float, values: dict[str, float]) -> None:
        """Keep the last state of an evaluation's bar, which stands behind the step of the training's."""
        if rank in self._last:
            self._settle(self._last[rank])
        if rank in self._evaluations and count < self._evaluations[rank][0]:
            self._close_evaluation(rank)
        values = {name if name == EPOCH or "/" in _metric(name) else f"val {name}": v for name, v in values.items()}
        self._evaluations[rank] = count, line, values

    def _close_evaluation(self, rank: int | None) -> None:
        if rank in self._evaluations:
            _, line, values = self._evaluations.pop(rank)
            self._table.add(line, values, rank)

    def _train(self, line: int, bar: _Bar, count: float, begun: bool, values: dict[str, float], shown: str) -> None:
        self._close_evaluation(bar.rank)
        if self._last.setdefault(bar.rank, bar) is not bar:
            self._settle(self._last[bar.rank])
            self._last[bar.rank] = bar
        if count < bar.count or values.get(EPOCH) != bar.epoch:
            self._settle(bar)
            bar.count, bar.epoch, bar.was_ahead, bar.ahead = -1, values.get(EPOCH), bar.ahead or False, None
            bar.states, bar.exact, bar.given = [], True, (-1, {})
        fresh, bar.shown = shown != bar.shown, shown
        if bar.ahead is None:
            if not begun and not fresh and not bar.was_ahead:
                return  # what the epoch before showed last
            bar.ahead, bar.count, bar.n_new = not begun, count, 0
        if count == bar.count:
            if not bar.ahead:
                bar.states.clear()
            bar.states.append((line, values))
            bar.n_new = len(bar.states) if fresh else bar.n_new
            return
        if not self.whole_epochs:
            self._settle(bar, count)
        if bar.ahead and not fresh:  # the values of this very step, drawn again as the bar counted on
            self._add(bar, line, count, values)
        is_new = fresh or not bar.ahead
        bar.count, bar.states, bar.n_new = count, [(line, values)] if is_new else [], int(is_new)

    def _settle(self, bar: _Bar, count: float | None = None) -> None:
        """Add the states of a bar that counts on to `count`, or that is not drawn any more for now."""
        if not bar.ahead:
            for line, values in bar.states[-1:]:
                if self.whole_epochs and bar.count < bar.total:
                    self._table.skip(line, f"epoch {bar.epoch or 1:g} stopped at {bar.count:g} of {bar.total:g} steps")
                else:
                    self._add(bar, line, bar.count, values)
            return
        states, bar.states = bar.states, []
        if count is None:  # the last redraws show nothing new
            states = [] if bar.count == bar.total else states[: bar.n_new]
        else:
            bar.exact = len(states) == count - bar.count
        if bar.exact:
            for step, (line, values) in enumerate(states, 1):
                self._add(bar, line, bar.count + step, values)
        elif states:
            self._add(bar, *states[-1][:1], count or bar.count + 1, states[-1][1])

    def _add(self, bar: _Bar, line: int, step: float, values: dict[str, float]) -> None:
        """Add what is new in a state."""
        new = values
        if bar.given[0] == step:
            given = bar.given[1]
            new = {name: value for name, value in values.items() if str(given.get(name)) != str(value)}
        for name in _held(tuple(new)):
            word = str(new[name])
            if self._held.get((bar.rank, name)) == word:
                new = {other: value for other, value in new.items() if other != name}
            self._held[bar.rank, name] = word
        bar.given = step, values
        if new and new.keys() != {EPOCH}:
            self._names.update(new)
            bar.rows.append(len(self._table.lines))
            if EPOCH not in values:
                self._open.append(len(self._table.lines))
            place = {EPOCH: values[EPOCH], STEP: step} if EPOCH in values else {STEP: step}
            self._table.add(line, {**new, **place}, bar.rank, bar.total)

    def settle(self) -> None:
        """Add the states that were drawn last: a record follows."""
        for bar in self._last.values():
            self._settle(bar)

    def finish(self) -> None:
        """Add the last states, tell apart what is shown of several losses, and make one count of all epochs."""
        for bar in self._bars.values():
            self._settle(bar)
        for rank in list(self._evaluations):
            self._close_evaluation(rank)
        self._names.discard(EPOCH)
        self._tell_apart()
        self._prints.finish()

    def _tell_apart(self) -> None:
        """Keep losses of epochs apart from those of steps: of a second bar, or printed behind an epoch.

        Where a bar shows no more losses than are printed, the printed ones count. A loss that never was a number beside
        one that still is stands for the eye only: after a step with such a loss the other would be none, too.
        """
        table, of_epochs = self._table, set(self._of_epochs)
        bars = [bar for bar in self._bars.values() if bar.rows]
        outer = [
            bar
            for bar in bars
            if any(len(b.rows) > len(bar.rows) and b.rows[0] < bar.rows[-1] and bar.rows[0] < b.rows[-1] for b in bars)
        ]
        for row in [row for bar in outer for row in bar.rows]:
            table.totals[row] = 0
            of_epochs.add(row)
        if bars and all(bar.word in ("epoch", "epochs") and bar.epoch is None for bar in bars):
            table.config["step_kind"] = "epoch"
        losses = [name for name in table.columns if _metric(name) == "loss" and not _is_held(name)]
        printed = {row for name in losses for row in table.columns[name][0]} & of_epochs
        shown = {row for bar in bars for row in bar.rows} - of_epochs
        if printed and len(shown) <= len(printed):
            self._move({*losses} & self._names, shown, "shown as")
        elif shown:
            self._move({name for name in self._names if not _is_held(name)}, of_epochs, "train epoch")
        self._move({STEP}, of_epochs, "")
        losses = [name for name in losses if name in table.columns]
        if not any(np.isfinite(table.columns[name][1][-1]) for name in losses):
            return
        for name in [name for name in losses if name in self._names and not np.isfinite(table.columns[name][1]).any()]:
            self._move({name}, shown, "shown as")
            table.names[f"shown as {name}"] = None
            table.notes.append(f'"{name}" was never a number beside another loss and is left out')

    def _move(self, names: set[str], moved: set[int], prefix: str) -> None:
        """Give the values of some rows another name, or none."""
        columns = self._table.columns
        for name in [name for name in columns if name in names]:
            rows, values = (np.asarray(side) for side in columns[name])
            apart = np.isin(rows, list(moved))
            if apart.any() and prefix:
                columns[f"{prefix} {name}"] = rows[apart].tolist(), values[apart].tolist()
            if apart.all():
                del columns[name]
            elif apart.any():
                columns[name] = rows[~apart].tolist(), values[~apart].tolist()


class KerasScanner(BarScanner):
    """Reads the lines that Keras draws, whose numbers are means of the epoch so far; one cut short is skipped."""

    bars: Kinds = (("/", _KERAS),)
    whole_epochs = True
    _waiting: tuple[Any, ...] = ()  # the state that was drawn last

    def _draw(self, line: int, rank: int | None, desc: str, match: re.Match[str], after: str, several: bool) -> None:
        if self._waiting and int(match["n"]) < int(self._waiting[3]["n"]):
            self._draw_waiting()
            super()._draw(line, rank, desc, match, after, several)
        self._waiting = line, rank, desc, match, after, several

    def _print(self, line: int, piece: str) -> bool:
        self._draw_waiting()
        return super()._print(line, piece)

    def _draw_waiting(self) -> None:
        if self._waiting:
            super()._draw(*self._waiting)
            self._waiting = ()

    def finish(self) -> None:
        """Add the last states, and make one count of all epochs."""
        self._draw_waiting()
        super().finish()


def bars_in(text: str, kinds: Kinds = BARS) -> list[re.Match[str]]:
    """Return the bars of a piece: redraws and messages often stand on one line."""
    for hint, kind in kinds:
        if hint in text and (found := list(kind.finditer(text))):
            return found
    return []


def _end_of(text: str, match: re.Match[str], following: int) -> int:
    """Return where what belongs to a bar ends, and the description of the next one on the line begins."""
    closed = match.groupdict().get("closed", "]")
    epoch = _EPOCH.search(text, match.end() if closed else match.start("inside"), following)
    return epoch.start() if epoch else match.end() if _LOSS.search(text, 0, match.end()) else following


def _records_beside(text: str, bars: Kinds) -> bool:
    """Tell whether a log prints losses of single steps beside its bars."""
    records = 0
    for _, piece in pieces(text[:PRINTED]):
        if "oss" in piece and not bars_in(piece, bars):
            line = parse(payload(piece)[0])
            placed = line.step is not None or (line.epoch is not None and line.position is not None)
            records += placed and any(_metric(name) == "loss" for name in line.values)
            if records >= FEW:
                return True
    return False


class BarFormat(LineFormat):
    """Bars that show a loss, in their description, inside, or right behind them."""

    def marked(self, piece: str) -> bool:
        """Tell whether a piece is such a bar."""
        for match in bars_in(piece):
            groups = match.groupdict()
            return bool(
                _SHOWN.search(piece, 0, match.start())
                or _SHOWN.search(groups.get("inside") or "")
                or (_SHOWN.match if "inside" in groups else _SHOWN.search)(piece, match.end())
            )
        return False


PROGRESS_BAR = BarFormat(
    "progress-bar",
    "tqdm, Lightning, NeMo 1 and other progress bars",
    BarScanner,
    BARS,
    names={"v_num": None, "train_step_timing in s": "step_time_s"},
)
KERAS_CONSOLE = LineFormat(
    "keras-console",
    "Keras, printed progress",
    KerasScanner,
    (("/", lazy(r"^\s*\d+/(?:\d+|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-) .*- \w+: ")),),
    reductions={"loss": "epoch_mean"},
)
