"""What a line of JSON holds goes into the rows, and the line is counted by what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmdiag.readers.json.decode import Lost
from lmdiag.readers.tables.rows import Rows

Take = Callable[[Rows, int, dict[str, Any] | Lost], None]  # adds a record to the rows, or notes its loss


def take_line(rows: Rows, line: int, found: dict[str, Any] | list[dict[str, Any] | Lost], take: Take) -> None:
    """Take in what was decoded from one line, and count the line."""
    before = len(rows.lines)
    if isinstance(found, dict):
        take(rows, line, found)
    else:
        for piece in found:
            take(rows, line, piece)
    tally = rows.tally
    if len(rows.lines) > before:
        tally.with_records += 1
    elif isinstance(found, dict) or any(isinstance(piece, dict) for piece in found):
        tally.text += 1
    elif found:
        tally.lost += 1
