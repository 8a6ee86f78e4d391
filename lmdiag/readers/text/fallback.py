"""Any text with named numbers: the fallback, the many spellings of hand-written prints, and patterns of the user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lmdiag.errors import UnreadableLog
from lmdiag.naming import spelling
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text.line_format import PATTERN_HINT, LineFormat
from lmdiag.readers.text.named_numbers import FEWEST_RECORDS, looks_like_record, paired
from lmdiag.readers.text.table import STEP, Table


def _described(log: RawLog) -> RawLog:
    """Say which columns were taken for what."""
    taken = ", ".join(
        f"{name!r} as {log.names.get(name) or spelling(name).name}" for name in log.columns if name != STEP
    )
    return replace(
        log, notes=(*log.notes, f"no known format; columns taken: {taken}; other names can be given with --map")
    )


class GenericPairs(LineFormat):
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


GENERIC = GenericPairs("key-value text", "Text with named numbers", paired(), ())
