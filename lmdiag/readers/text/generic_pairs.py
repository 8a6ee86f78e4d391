"""Any text with named numbers: the fallback, the many spellings of hand-written prints, and patterns of the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.metrics import spelling
from lmdiag.readers.growing import Growing
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.source import Source
from lmdiag.readers.text.epochs import unroll
from lmdiag.readers.text.family import PATTERN_HINT, Family, Scanner, Shape, ShapeScanner
from lmdiag.readers.text.lexing import number, payload, text_of
from lmdiag.readers.text.pairs import MEASURES, Line, canonical, parse, unit_scale
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table
from lmdiag.run import Event

FEWEST_RECORDS = 3
_WORTH_A_LOOK = re.compile(r"\d|nan|inf")
_AFTER_TRAINING = re.compile(
    r"^\W*(?:final|quantized|quantised|int\d|prequant|pre-quant|post-quant|sliding|diagnostic|result|end of training"
    r"|best checkpoint|swa_eval|summary|test results at the end|evaluation of)|roundtrip|(?:^|[\s_])ttt(?:$|[\s_:])",
    re.IGNORECASE,
)
_CODE_LINE = re.compile(
    r"\{[A-Za-z_][^{}\"']*\}|^\s*(?:def|class|if|for|return|print|assert|import|from|while|elif|with|log0?|print0)\b|\w\(.*\):?$|^\s*#"
)


class PairScanner:
    """Reads every line that names a step, epoch or place and a metric one knows a training run by.

    Losses without any place take the place of the line before, unless such losses are printed with a place too: then
    they are results of something else (`Test loss of the best checkpoint: …`) and become events.
    """

    def __init__(self, table: Table, text: str, placed_only: bool = False) -> None:
        self._table = table
        self._placed_only = placed_only
        self._epoch: float | None = None
        self._loose: dict[int, Line] = {}  # rows without a place of their own
        self._placed: set[str] = set()  # losses that are printed with a place
        self._units: dict[str, Counter[str]] = {}
        table.config["percent"] = "%)]" in text

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if not _WORTH_A_LOOK.search(piece):
            return False
        text, rank = payload(piece)
        found = parse(text)
        if not found.core:
            self._remember(found, text)
            return False
        if _CODE_LINE.search(text):
            return False
        if _AFTER_TRAINING.search(text):
            return found.measured and self._result(found, text)
        if not is_record(found):
            return False
        if found.placed or not self._placed_only:
            self._take(line, found, rank)
            return True
        return self._result(found, text)

    def _remember(self, found: Line, text: str) -> None:
        """Keep the epoch that a headline such as `Epoch 3/10` announces for the lines below it."""
        if found.epoch is not None and found.epoch == int(found.epoch) and len(text) < 200:
            self._epoch = found.epoch

    def _result(self, found: Line, text: str) -> bool:
        if self._table.lines:
            self._table.happened(Event("final_evaluation", self._table.last_step, text[:300], dict(found.values)))
        return bool(self._table.lines)

    def _take(self, line: int, found: Line, rank: int | None) -> None:
        values = dict(found.values)
        if found.step is not None:
            values[STEP] = found.step
        if found.position is not None:
            values[POSITION] = found.position
        if found.epoch is not None:
            self._epoch = found.epoch
        if self._epoch is not None:
            values[EPOCH] = self._epoch
        for name, unit in found.units.items():
            self._units.setdefault(name, Counter())[unit] += 1
        if found.placed:
            self._placed |= _losses(found)
        else:
            self._loose[len(self._table.lines)] = found
        self._table.add(line, values, rank, found.total)
        if found.epochs:
            self._table.config.setdefault("epochs", int(found.epochs))

    def finish(self) -> None:
        """Decide on rows without a place, make one step of all counters, and name the columns."""
        self._settle_loose()
        unroll(self._table)
        self._table.config.pop("percent", None)
        name_columns(self._table, {name: units.most_common(1)[0][0] for name, units in self._units.items()})

    def _settle_loose(self) -> None:
        """Make results of the rows without a place whose losses are also printed with a place."""
        results = {row: line for row, line in self._loose.items() if _losses(line) & self._placed}
        if not results:
            return
        table = self._table
        for row, found in results.items():
            table.events.append(Event("final_evaluation", None, "", dict(found.values)))
            table.event_rows.append(row)
        table.notes.append(f"{len(results)} losses without a step were taken as results, not as part of the curve")
        table.keep(np.array([row not in results for row in range(len(table.lines))]))


def _losses(line: Line) -> set[str]:
    found = (canonical(name) for name in line.values)
    return {metric[0] for metric in found if metric and metric[0].rpartition("/")[2] in MEASURES}


def name_columns(table: Table, units: Mapping[str, str]) -> None:
    """Say which canonical metric each column is, and bring the units it was printed with to those of the metric.

    Of two columns for one metric the fuller and then the earlier one gets it; the other keeps its own name.
    """
    taken: dict[str, str] = {}
    for name in sorted(table.columns, key=lambda name: -len(table.columns[name][0])):
        if name in (STEP, EPOCH):
            continue
        metric = table.names.get(name) or (canonical(name) or (name, 1.0))[0]
        if taken.setdefault(metric, name) != name:
            table.names[name] = name
            continue
        if name not in table.names and not spelling(name).known and metric != name:
            table.names[name] = metric
            table.scales.setdefault(name, (canonical(name) or ("", 1.0))[1])
        unit = units.get(name, "")
        if unit:
            table.units.setdefault(name, unit)
        if unit_scale(metric, unit) != 1.0:
            table.scales.setdefault(name, unit_scale(metric, unit))


def paired(placed_only: bool = False) -> Callable[[Table, str], Scanner]:
    """Return what makes a scanner of named numbers; with `placed_only` a loss without a step is never a record."""
    return lambda table, text: PairScanner(table, text, placed_only)


def _described(log: RawLog) -> RawLog:
    """Say which columns were taken for what."""
    taken = ", ".join(
        f"{name!r} as {log.names.get(name) or spelling(name).name}" for name in log.columns if name != STEP
    )
    return replace(
        log, notes=(*log.notes, f"no known format; columns taken: {taken}; other names can be given with --map")
    )


class GenericPairs(Family):
    """The fallback: any text in which lines name a step or epoch and a loss."""

    def hits(self, sample: Iterable[str]) -> int:
        """Count the pieces of a sample that name a place and a metric."""
        return sum(1 for piece in sample if _WORTH_A_LOOK.search(piece) and _looks_like_record(piece))

    def finished(self, name: str, table: Table, chatter: int) -> list[RawLog]:
        """Return the runs of a table that is complete."""
        logs = super().finished(name, table, chatter)
        if sum(log.n_rows for log in logs) < FEWEST_RECORDS:
            raise UnreadableLog(f"{name}: fewer than {FEWEST_RECORDS} lines look like training records", PATTERN_HINT)
        return [_described(log) for log in logs]


def is_record(line: Line) -> bool:
    """Tell whether named numbers are those of a training record: a place and a metric, or at least a loss."""
    if line.placed:
        return line.judged or (line.core and line.step is not None)
    return line.measured and line.strong


def _looks_like_record(piece: str) -> bool:
    return not _CODE_LINE.search(piece) and is_record(parse(payload(piece)[0]))


def is_text(head: bytes) -> bool:
    """Tell whether bytes are text: few control characters, and zero bytes only as UTF-16 has them."""
    controls = sum(head.count(bytes([byte])) for byte in (*range(1, 7), *range(14, 27)))
    zeros = head.count(0)
    return bool(head.strip()) and controls * 100 <= len(head) and (not zeros or 0.3 < zeros / len(head) < 0.6)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the bytes are text; whether it holds records shows only when all of it is read."""
    return not name.endswith("/") and is_text(head)


def read(source: Source) -> list[RawLog]:
    """Read a printed log of which the first bytes told nothing: of a known family further on, or of none."""
    from lmdiag.readers.text.cascade import read as read_any

    return read_any(source)


def begin(name: str, start: str) -> Growing:
    """Return a reading of a log that lines can be added to."""
    from lmdiag.readers.text.cascade import begin as begin_any

    return begin_any(name, start)


GENERIC = GenericPairs("key-value text", "Text with named numbers", paired(), ())


def read_pattern(source: Source, pattern: str) -> list[RawLog]:
    """Read every piece of text that a regular expression of the user fits; its named groups are the columns.

    >>> log, = read_pattern(Source("a.log", content=b"at 10 we lost 2.5"), r"at (?P<step>\\d+) we lost (?P<loss>[\\d.]+)")
    >>> log.columns["loss"].values.tolist()
    [2.5]
    """
    return pattern_family(pattern).read_text(source.name, text_of(source))


def pattern_family(pattern: str) -> Family:
    """Return the family whose records are what a regular expression of the user fits.

    Raises `BadSetting` for a pattern that is no regular expression or names nothing to read.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadSetting(
            f"the pattern {pattern!r} is no regular expression: {error}", "check its brackets and groups"
        ) from error
    if not compiled.groupindex:
        raise BadSetting(
            f"the pattern {pattern!r} names no columns", "write the number as a named group: (?P<loss>[\\d.]+)"
        )
    shape = Shape("", compiled, _numbers)
    return Family("pattern", "Pattern of the user", lambda table, text: ShapeScanner((shape,), table), ())


def _numbers(match: re.Match[str], table: Table) -> dict[str, float]:
    """Read the named groups; a word that is no number is counted as skipped."""
    values = {}
    for name, word in match.groupdict().items():
        try:
            values[name] = number((word or "").strip().rstrip("%"))
        except ValueError:
            if word is not None:
                table.skip(0, f"{name} is no number: {word[:40]}")
    return values
