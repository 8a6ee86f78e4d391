"""What the lines of a source were, counted while they are read."""

from __future__ import annotations

from msgspec import Struct


class Tally(Struct):
    """Lines of a source by what they were; each kind is counted where it is met, and the lines by their ends.

    So a line that a reader lets fall is missing in the sum: it is not found by subtraction.
    """

    lines: int = 0
    with_records: int = 0  # they hold a record, or a part of one
    blank: int = 0
    text: int = 0  # understood, and no record: headers, events, prints
    lost: int = 0  # each with its reason among what was skipped
    cut: int = 0  # of all of them, those that are too long to be read to their end

    def count(self, kind: int, lines: int) -> None:
        """Count lines that are text (0), lost (1) or hold a record (2)."""
        if kind == 2:
            self.with_records += lines
        elif kind == 1:
            self.lost += lines
        else:
            self.text += lines

    def count_lines(self, text: str) -> None:
        """Count the lines of a text, or of a piece that ends with a line end.

        >>> tally = Tally()
        >>> tally.count_lines("a\\nb\\n"); tally.count_lines("c"); tally.lines
        3
        """
        self.lines += text.count("\n") + (not text.endswith("\n") and text != "")
