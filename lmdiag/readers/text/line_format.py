"""What a printed format declares, and the loop that reads a printed log with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text import ranks
from lmdiag.readers.text import skeletons as fast
from lmdiag.readers.text.decimal_commas import NOTE, has_decimal_commas, with_points
from lmdiag.readers.text.events import EventWatcher, put_said, summary_of
from lmdiag.readers.text.pieces import (
    LONGEST_PIECE,
    is_coloured_diff,
    payload,
    pieces,
    text_of,
    without_colours,
)
from lmdiag.readers.text.runs import separate
from lmdiag.readers.text.scanner import Scanner, read_one_by_one
from lmdiag.readers.text.table import STEP, Table
from lmdiag.run import Event, Skipped
from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source

PATTERN_HINT = r"describe a record with --pattern '(?P<step>\d+).*?(?P<loss>[\d.]+)'"


@dataclass(frozen=True)
class LineFormat:
    """A printed format: how to recognise it, how to read it, and the conventions `gather` needs to know."""

    name: str  # as reports name it; its samples are called after it
    title: str  # the programs that print it
    scanner: Callable[[Table, str], Scanner]  # mostly `shaped(…)`
    marks: tuple[tuple[str, re.Pattern[str]], ...]  # (hint, pattern) of lines only this format has
    names: Mapping[str, str | None] = field(default_factory=dict)  # column: metric of `metrics.py`, None drops it
    units: Mapping[str, str] = field(default_factory=dict)  # column: unit; those known: `metrics.unit_scale`
    reductions: Mapping[str, str] = field(default_factory=dict)  # column: window_mean, epoch_mean, step_mean or ema
    step_kind: str = "step"  # what steps count: step, epoch, samples, tokens or record
    step_offset: int = 0  # added to reach "optimizer updates completed": 1 where the first update is printed as 0
    objective: str = ""  # causal-lm, masked-lm, classification, reinforcement or composite; "" lets `gather` infer it
    not_measured: Mapping[str, float] = field(default_factory=dict)  # what is printed where nothing was measured
    linewise: bool = False  # a line can be read without those before it
    not_facts: tuple[str, ...] = ()  # header names that stand for something else in this format

    def hits(self, sample: Iterable[str]) -> int:
        """Count the pieces of a sample that only this format has."""
        return sum(1 for piece in sample if self.marked(piece))

    def marked(self, piece: str) -> bool:
        """Tell whether only this format has such a piece."""
        marks = [mark for hint, mark in self.marks if hint in piece]
        return bool(marks) and (any(m.search(piece) for m in marks) or any(m.search(payload(piece)[0]) for m in marks))

    def can_read(self, name: str, head: bytes) -> bool:
        """Tell whether the first bytes of a log hold a line of this format."""
        text = without_colours(as_text(head))
        return self.hits(piece for _, piece in pieces(text)) > 0

    def read(self, source: Source) -> list[RawLog]:
        """Read the runs of a log; raise `UnreadableLog` where it holds no record of this format."""
        return self.read_text(source.name, text_of(source))

    def read_text(self, name: str, raw: str) -> list[RawLog]:
        """Read the runs of a decoded log."""
        text = without_colours(raw)
        table = self.table()
        table.tally.count_lines(raw)
        if has_decimal_commas(text):
            text = with_points(text)
            table.notes.append(NOTE)
        if is_coloured_diff(raw):
            table.notes.append("the log is a coloured word diff of two logs; the new values were read")
        layouts = fast.learn(self.scanner, text) if self.linewise and fast.usable(text) else []
        return self.finished(name, table, scan(self.scanner, table, text, layouts))

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
                f"{name}: no training record of the format {self.name} in {chatter} lines of text",
                PATTERN_HINT,
            )
        if table.tally.cut:
            reason = f"what stands behind character {LONGEST_PIECE:,} of a line"
            table.skipped.append(Skipped(0, reason, table.tally.cut, "value"))
        ranks.merge(table)
        put_said(table)
        for column, sentinel in self.not_measured.items():
            table.forget(column, sentinel)
        return assemble(self, name, table)


def scan(
    make: Callable[[Table, str], Scanner], table: Table, text: str, layouts: list[fast.Layout] | None = None
) -> int:
    """Feed every piece of a text to a scanner, but for lines of known layouts; return how many were no records."""
    todo: Iterable[tuple[int, str]]
    scanner = make(table, text)
    if layouts:
        bulk, todo = fast.cut(text, layouts, make, table.tally)
        for layout in layouts:
            table.units.update(layout.units)
    else:
        bulk, todo = None, pieces(text, tally=table.tally)
    events = EventWatcher(text, table)
    chatter = read_one_by_one(todo, scanner, table, events, fast.Place(bulk).tell if bulk else None)
    if bulk:
        fast.merged(bulk, table)
    scanner.finish()
    events.finish()
    return chatter


def assemble(line_format: LineFormat, name: str, table: Table) -> list[RawLog]:
    """Turn collected rows into one `RawLog` per run."""
    spans = separate(table)
    stem = PurePath(name).name
    logs = []
    for index, (first, last) in enumerate(spans):
        columns = table.taken(first, last)
        config: dict[str, Any] = {k: v for k, v in table.config.items() if k not in line_format.not_facts}
        planned = float(np.max(table.totals[first:last], initial=0))
        if planned and line_format.step_kind == "step" and table.config.get("step_kind", "step") == "step":
            config["max_steps"] = int(planned)
        step_kind = str(config.pop("step_kind", line_format.step_kind))
        logs.append(
            RawLog(
                format=line_format.name,
                name=stem if len(spans) == 1 else f"{stem}#{index + 1}",
                columns=columns,
                n_rows=last - first,
                source=name,
                lines=np.asarray(table.lines[first:last], np.int64),
                config=config,
                events=_events(table, first, last),
                notes=tuple(table.notes),
                skipped=tuple(table.skipped) if index == 0 else (),
                objective=line_format.objective,
                step_column=STEP if STEP in columns else "",
                step_kind=step_kind,
                step_offset=line_format.step_offset,
                names={k: v for k, v in table.names.items() if k in columns},
                scales={k: v for k, v in table.scales.items() if k in columns},
                units={k: v for k, v in table.units.items() if k in columns},
                reductions={k: v for k, v in line_format.reductions.items() if k in columns},
                unused=dict.fromkeys(set(table.columns) - set(columns), ""),
                tally=table.tally,
            )
        )
    return logs


def _events(table: Table, first: int, last: int) -> tuple[Event, ...]:
    """Return the events of the run of the rows first <= row < last; an end that records followed was none."""
    final = last == len(table.lines)
    mine = [
        (event, row)
        for event, row in zip(table.events, table.event_rows)
        if (first < row or first == 0) and (row <= last or final)
    ]
    return tuple(event for event, row in mine if event.kind != "end" or row >= last)
