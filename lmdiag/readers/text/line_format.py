"""What a printed format declares: its lines as rows of data, or a scanner of its own; and what becomes of its table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.naming import spelling
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables import ranks
from lmdiag.readers.tables.column_names import metric_of
from lmdiag.readers.tables.runs import separate
from lmdiag.readers.tables.said import put_said, summary_of
from lmdiag.readers.tables.table import EPOCH, RANK, STEP, TOTAL, Scanner, Table
from lmdiag.readers.text.named_numbers import SPARE, PairScanner
from lmdiag.readers.text.pieces import LONGEST_PIECE
from lmdiag.readers.text.plans import Plan, Plans, Reader, Record, left_over
from lmdiag.run import Event, Skipped

Mark = tuple[str, re.Pattern[str]]  # a substring of a line that is quick to look for, and its pattern
Settle = Callable[[Table], None]


@dataclass(frozen=True)
class Said:
    """What a record says beside its numbers."""

    units: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # column: metric
    event: str = ""  # the kind of event that the numbers belong to, where they are no row
    lost: str = ""  # what of the line could not be read, and why


NOTHING = Said()
_ITEMS = lazy(
    r"(?P<name>[A-Za-z_][\w/.-]*(?: [A-Za-z_][\w/.-]*)*?(?:\(\w+\))?)['\"]?\s*[:= ]\s*(?:[a-z][\w.]*\(|['\"])?"
    rf"(?P<number>{NUM}[kKMGBT]?)[)'\"]?(?:ms|[KMG]i?B|[%smh])?(?=[\s,|()}}\]]|$)"
)


@dataclass(frozen=True)
class Shape:
    """One kind of record line: `hint` is a substring that every such line holds, `pattern` is searched in its payload.

    The named groups are columns; the group `rest` holds further items, each a name and a number, and the group `under` is
    put before their names. `told` makes the record of these numbers where a line needs more; groups may then be words.
    """

    hint: str
    pattern: re.Pattern[str]
    sure: bool = False  # only this format has such lines
    prefixed: bool = False  # the pattern looks at what stands before the payload as well
    looks: re.Pattern[str] | None = None  # lines that mean to be such a record, so that broken ones are counted
    told: Callable[[dict[str, float], re.Match[str], str], Record | None] | None = None

    def read(self, match: re.Match[str], text: str) -> Record | None:
        """Return the record of a text that the pattern fits; None where it holds no item."""
        groups = match.groupdict()
        rest, under = groups.pop("rest", None), groups.pop("under", None) or ""
        values: dict[str, float] = {}
        lost = []
        for name, word in groups.items():
            try:
                values[TOTAL if name == "total" else name] = number((word or "").strip().rstrip("%"))
            except ValueError:
                if word is not None:
                    lost.append(f"{name} is no number: {word[:40]}")
        before = len(values)
        for item in _ITEMS.finditer(rest or ""):
            values.setdefault(under + item["name"], number(item["number"], suffixed=True))
        if self.told:
            return self.told(values, match, text)
        if rest is not None and len(values) == before and set(groups) <= {STEP, "total", "epoch"}:
            return None
        return values, Said(lost="; ".join(lost)) if lost else NOTHING


def shape_reader(*shapes: Shape) -> Reader:
    """Return the reader of lines that fit one of the shapes."""

    def read(piece: str) -> list[Record]:
        likely = [shape for shape in shapes if shape.hint in piece]
        if not likely:
            return []
        text, rank = payload(piece)
        plain = " ".join(text.split()) if "  " in text else text  # numbers that are padded
        for shape in likely:
            match = shape.pattern.search(piece if shape.prefixed else text)
            if match is None and plain is not text:
                match = shape.pattern.search(plain)
            if match:
                found = shape.read(match, match.string)
                if found and rank is not None:
                    found[0][RANK] = rank
                return [found] if found else []
        if any(shape.looks and shape.looks.search(plain) for shape in likely):
            return [({}, Said(lost=f"looks like a record and is none: {text[:80]}"))]
        return []

    return read


class LineScanner:
    """Puts the records of a reader of lines into a table; `settle` does what is left when all lines were seen."""

    def __init__(self, table: Table, read: Reader, settle: Settle | None = None) -> None:
        self.plans = Plans(read)
        self._table = table
        self._settle = settle
        self._said = NOTHING
        self._spare = 0

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        records = self.plans.read(piece)
        for values, said in records:
            if said is not self._said:
                self._said = said
                self._hear(line, piece, values, said)
            if values and not said.event:
                self._table.add(line, values)
                self._spare += left_over(piece, values)
        return bool(records)

    def is_plain(self, plan: Plan) -> bool:
        """Tell whether a plan is sure, and its lines say nothing but numbers."""
        return not (plan.unchecked or plan.about.event or plan.about.lost)

    def take(self, plan: Plan, line: int, numbers: dict[str, float]) -> None:
        """Add the numbers of a line that a plain plan fits."""
        self._table.add(line, numbers)
        self._spare += plan.spare

    def extend(self, plan: Plan, lines: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Add the numbers of lines that a plain plan fits."""
        self._table.extend(lines, columns)
        self._spare += plan.spare * len(lines)

    def _hear(self, line: int, piece: str, values: dict[str, float], said: Said) -> None:
        table = self._table
        for name, unit in said.units.items():
            table.units.setdefault(name, unit)
        for name, metric in said.names.items():
            table.names.setdefault(name, metric)
        if said.lost:
            table.skip(line, said.lost)
        if said.event:
            table.happened(Event(said.event, table.last_step, payload(piece)[0][:300], dict(values)))
            self._said = NOTHING

    def finish(self) -> None:
        """Settle what the lines left open."""
        if self._spare:
            self._table.skipped.append(Skipped(0, SPARE, self._spare, "value"))
        if self._settle:
            self._settle(self._table)


PATTERN_HINT = r"describe a record with --pattern '(?P<step>\d+).*?(?P<loss>[\d.]+)'"


@dataclass(frozen=True)
class LineFormat:
    """A printed format: how to recognise it, how to read it, and the conventions `gather` needs to know."""

    name: str  # as reports name it; its samples are called after it
    title: str  # the programs that print it
    shapes: tuple[Shape, ...] = ()  # its lines; without any they are read as named numbers
    marks: tuple[Mark, ...] = ()  # of lines only this format has, beside those of its sure shapes
    settle: Settle | None = None  # what is left to do when all lines were seen
    reads: Callable[[Table, str], Scanner] | None = None  # a scanner of its own
    tells: Callable[[str], bool] | None = None  # whether only this format has a piece, where no pattern says so
    names: Mapping[str, str | None] = field(default_factory=dict)  # column: metric of `metrics.py`, None drops it
    units: Mapping[str, str] = field(default_factory=dict)  # column: unit; those known: `metrics.unit_scale`
    reductions: Mapping[str, str] = field(default_factory=dict)  # column: window_mean, epoch_mean, step_mean or ema
    not_measured: Mapping[str, float] = field(default_factory=dict)  # what is printed where nothing was measured
    not_facts: tuple[str, ...] = ()  # header names that stand for something else in this format
    fewest: int = 1  # records that make it worth to be called a log
    explained: bool = False  # a note says which columns were taken for what

    def scanner(self, table: Table, text: str) -> Scanner:
        """Return what reads the lines of a text that begins so into a table."""
        if self.reads:
            return self.reads(table, text)
        return LineScanner(table, shape_reader(*self.shapes), self.settle) if self.shapes else PairScanner(table, text)

    @cached_property
    def every_mark(self) -> tuple[Mark, ...]:
        """The marks, and the shapes that are some."""
        return *self.marks, *((shape.hint, shape.pattern) for shape in self.shapes if shape.sure)

    def marked(self, piece: str) -> bool:
        """Tell whether only this format has such a piece."""
        if self.tells:
            return self.tells(piece)
        marks = [mark for hint, mark in self.every_mark if hint in piece]
        if not marks or any(mark.search(piece) for mark in marks):
            return bool(marks)
        text = payload(piece)[0]
        return any(mark.search(text) or ("  " in text and mark.search(" ".join(text.split()))) for mark in marks)

    def table(self) -> Table:
        """Return an empty table with the conventions of the format."""
        table = Table()
        table.names.update(self.names)
        table.units.update(self.units)
        return table

    def finished(self, name: str, table: Table, chatter: int) -> list[RawLog]:
        """Return the runs of a table that is complete; `chatter` lines were no records."""
        if not len(table.lines) and (messages := summary_of(table)):
            raise NoValues(
                f"{name} holds {messages}, and no line with a loss",
                "check the log of the same run that holds its losses",
            )
        if not len(table.lines):
            raise UnreadableLog(
                f"{name}: no training record of the format {self.name} in {chatter} lines of text", PATTERN_HINT
            )
        if len(table.lines) < self.fewest and not _are_told(table):
            raise UnreadableLog(f"{name}: fewer than {self.fewest} lines look like training records", PATTERN_HINT)
        if table.tally.cut:
            reason = f"what stands behind character {LONGEST_PIECE:,} of a line"
            table.skipped.append(Skipped(0, reason, table.tally.cut, "value"))
        ranks.merge(table)
        put_said(table)
        for column, sentinel in self.not_measured.items():
            table.forget(column, sentinel)
        logs = assemble(self, name, table)
        return [_explained(log) for log in logs] if self.explained else logs


def _are_told(table: Table) -> bool:
    """Tell whether few records are surely some: all say the same, their steps, which ascend, and the loss.

    These are two, or one where the program says that the loss became NaN, or the record itself does, which needs its epoch only.
    """
    sides = {name: len(rows) for name, (rows, _) in table.columns.items()}
    broken = any(
        metric_of(name) == "loss" and not np.isfinite(values).any() for name, (_, values) in table.columns.items()
    )
    enough = len(table.lines) == 2 or broken or any(event.kind == "nan" for event in table.events)
    place = EPOCH if broken and STEP not in sides else STEP
    placed = enough and place in sides and bool((np.diff(table.cells(place)) > 0).all())
    return (
        placed and {*sides.values()} == {len(table.lines)} and any(metric_of(name).endswith("loss") for name in sides)
    )


def _explained(log: RawLog) -> RawLog:
    """Say which columns were taken for what."""
    named: dict[str, list[str]] = {}
    for name in [name for name in log.columns if name != STEP]:
        named.setdefault(log.names.get(name) or spelling(name).name, []).append(repr(name))
    taken = ", ".join(f"{' or '.join(names)} as {metric}" for metric, names in named.items())
    note = f"no known format; columns taken: {taken}; other names can be given with --map"
    return replace(log, notes=(*log.notes, note))


def assemble(line_format: LineFormat, name: str, table: Table) -> list[RawLog]:
    """Turn collected rows into one `RawLog` per run."""
    spans, totals = separate(table), table.totals
    stem = PurePath(name).name
    logs = []
    for index, (first, last) in enumerate(spans):
        columns = table.taken(first, last)
        config: dict[str, Any] = {k: v for k, v in table.config.items() if k not in line_format.not_facts}
        planned = float(np.max(totals[first:last], initial=0))
        if 0 < planned < np.inf and table.config.get("step_kind", "step") == "step":
            config["max_steps"] = int(planned)
        step_kind = str(config.pop("step_kind", "step"))
        logs.append(
            RawLog(
                format=line_format.name,
                name=stem if len(spans) == 1 else f"{stem}#{index + 1}",
                columns=columns,
                n_rows=last - first,
                source=name,
                lines=np.asarray(table.lines[first:last], np.int64),
                config=config,
                events=table.events_between(first, last),
                notes=tuple(table.notes),
                skipped=tuple(table.skipped) if index == 0 else (),
                step_column=STEP if STEP in columns else "",
                step_kind=step_kind,
                names={k: v for k, v in table.names.items() if k in columns},
                scales={k: v for k, v in table.scales.items() if k in columns},
                units={k: v for k, v in table.units.items() if k in columns},
                reductions={k: v for k, v in line_format.reductions.items() if k in columns},
                unused={name: "" for name in table.columns if name not in columns},
                called=dict(table.called),
                tally=table.tally,
            )
        )
    return logs
