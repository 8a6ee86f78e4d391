"""Any text with named numbers: the fallback, the many spellings of hand-written prints, and patterns of the user."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.metrics import spelling
from lmdiag.readers.growing import Growing
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.source import Source
from lmdiag.readers.text.family import PATTERN_HINT, Family, Shape, ShapeScanner
from lmdiag.readers.text.lexing import number, text_of
from lmdiag.readers.text.pair_scanner import FEWEST_RECORDS, looks_like_record, paired
from lmdiag.readers.text.table import STEP, Table


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
        return sum(map(looks_like_record, sample))

    def finished(self, name: str, table: Table, chatter: int) -> list[RawLog]:
        """Return the runs of a table that is complete."""
        logs = super().finished(name, table, chatter)
        if sum(log.n_rows for log in logs) < FEWEST_RECORDS:
            raise UnreadableLog(f"{name}: fewer than {FEWEST_RECORDS} lines look like training records", PATTERN_HINT)
        return [_described(log) for log in logs]


def is_text(head: bytes) -> bool:
    """Tell whether bytes are text: few control characters, and zero bytes only as UTF-16 has them."""
    controls = sum(head.count(bytes([byte])) for byte in (*range(1, 7), *range(14, 27)))
    zeros = head.count(0)
    return bool(head.strip()) and controls * 100 <= len(head) and (not zeros or 0.3 < zeros / len(head) < 0.6)


def is_program(name: str) -> bool:
    """Tell whether a file is called like the source of a program, which may show what a log looks like.

    >>> is_program("trainers/loop.py"), is_program("loop.py.log")
    (True, False)
    """
    return name.lower().endswith((".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".cu", ".rs", ".go", ".java", ".js", ".ts"))


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the bytes are text; whether it holds records shows only when all of it is read."""
    return not name.endswith("/") and not is_program(name) and is_text(head)


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
