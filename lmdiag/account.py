"""The account of a log: what became of every line, row and column of it, and what was guessed on the way."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple

from msgspec import Struct

from lmdiag.patterns import lazy

_NUMBER = lazy(r"\d+(?:[.,]\d+)*")
_EXAMPLE = ": "  # what stands behind it in a reason is the piece itself
LONGEST_EXAMPLE = 60

METRIC, EXTRA, STEP, SETTING, RUN, SPLIT = "metric", "extra", "step", "setting", "run", "split"
EMPTY, NOT_USED = "empty", "not used"
USES = (METRIC, EXTRA, STEP, SETTING, RUN, SPLIT, EMPTY, NOT_USED)


class Column(NamedTuple):
    """What was made of one column or printed name.

    `use` is `metric` (one that lmdiag knows, named in `metrics`), `extra` (kept under its own name), `step`, `setting`, `run` (tells
    runs apart), `split` (tells evaluations from training), `empty` (without a value) or `not used`, with the reason in `why`.
    """

    name: str
    use: str
    values: int = 0
    metrics: tuple[str, ...] = ()
    unit: str = ""  # of the metric; of an extra it is not known
    scale: float = 1.0  # what the values were multiplied with
    why: str = ""


class Skipped(Struct, frozen=True):
    """A piece of the source that was not read: where (line, 0 if unknown), why, and how many such pieces."""

    line: int
    reason: str
    count: int = 1
    unit: str = "record"  # what was not read: a record, a single value of one, or a record of a copy


class Account(NamedTuple):
    """What became of a log.

    `lines` are the physical lines of the source, 0 where its format has none. Each is one that holds (a part of) records, is
    blank, is text that was understood as no record (a header, an event, a print), or was lost, with its reason in `dropped`; the four
    are counted apart, so that a line that a reader let fall is missing in their sum. `rows` are those of this run.
    """

    lines: int = 0
    with_records: int = 0
    blank: int = 0
    text: int = 0
    lost: int = 0
    rows: int = 0
    dropped: tuple[Skipped, ...] = ()
    columns: tuple[Column, ...] = ()
    guesses: tuple[str, ...] = ()

    @property
    def reconciled(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.with_records + self.blank + self.text + self.lost

    @property
    def not_used(self) -> tuple[Column, ...]:
        """The columns of which nothing was made."""
        return tuple(column for column in self.columns if column.use == NOT_USED)


def joined(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    """Join those whose reasons differ in nothing but numbers, or but the piece that they quote.

    >>> [(d.reason, d.count, d.line) for d in joined([Skipped(9, "5 fields for 4"), Skipped(12, "7 fields for 4", 2)])]
    [('5–7 fields for 4', 3, 9)]
    >>> [d.reason for d in joined([Skipped(0, "torn record: {a"), Skipped(0, "torn record: {b")])]
    ['torn record: {a, …']
    """
    groups: dict[tuple[str, str], list[Skipped]] = {}
    for one in skipped:
        groups.setdefault((_NUMBER.sub("0", one.reason.partition(_EXAMPLE)[0]), one.unit), []).append(one)
    return tuple(
        Skipped(group[0].line, _reason([one.reason for one in group]), sum(one.count for one in group), unit)
        for (_, unit), group in groups.items()
    )


def _reason(reasons: list[str]) -> str:
    """Return one reason for all: numbers that differ as a range, of quoted pieces that differ the first."""
    first, different = reasons[0], len(set(reasons)) > 1
    if not different:
        return first
    head, _, example = first.partition(_EXAMPLE)
    heads = dict.fromkeys(reason.partition(_EXAMPLE)[0] for reason in reasons)
    ranges = [_range(numbers) for numbers in zip_longest(*(_NUMBER.findall(other) for other in heads))]
    head = _NUMBER.sub(lambda _: ranges.pop(0), head)
    return f"{head}{_EXAMPLE}{example[:LONGEST_EXAMPLE]}, …" if example else head


def _range(numbers: Iterable[str]) -> str:
    distinct = sorted(set(numbers), key=lambda number: float(number.replace(",", "")) if number.count(".") < 2 else 0.0)
    return distinct[0] if len(distinct) == 1 else f"{distinct[0]}–{distinct[-1]}"
