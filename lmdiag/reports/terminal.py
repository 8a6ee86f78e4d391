"""How a report is drawn in a terminal: colours, wrapped paragraphs, aligned tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from lmdiag.finding import Severity
from lmdiag.looks import LOOKS
from lmdiag.reports.phrases import visible


class Style(Struct, frozen=True):
    """How the report is drawn: columns of the terminal, colours or not, everything or the essentials."""

    width: int = 80
    color: bool = False
    verbose: bool = False

    def paint(self, text: str, colour: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
        """Return the text with the escapes of its look, or as it is without colours.

        >>> Style(color=True).paint("a", "red"), Style().paint("a", "red")
        ('\\x1b[31ma\\x1b[0m', 'a')
        """
        if not self.color or not text.strip():
            return text
        import click

        return click.style(text, fg=colour, bold=bold, dim=dim)

    def paragraph(self, text: str, indent: int = 2, lead: str = "", **look: Any) -> Iterator[str]:
        """Yield the text wrapped to the width, indented; `lead` stands before the first line and indents the others.

        `look` is what `paint` takes; it is that of the lead where there is one, else that of the text.

        >>> list(Style(24).paragraph("one two three four five", 2, "→ "))
        ['  → one two three four', '    five']
        """
        lines = self._wrapped(visible(text), indent + len(lead))
        for at, line in enumerate(lines):
            before = " " * indent + (self.paint(lead, **look) if at == 0 else " " * len(lead))
            yield before + (line if lead else self.paint(line, **look))

    def listed(self, items: Iterable[str], indent: int, **look: Any) -> Iterator[str]:
        """Yield the items with dots between them, wrapped between items only.

        >>> list(Style(24).listed(["first step 3", "last step 9"], 2))
        ['  first step 3 ·', '  last step 9']
        """
        glued = [visible(item).replace(" ", "\xa0") for item in items]
        for line in self._wrapped("\xa0· ".join(glued), indent):
            yield " " * indent + self.paint(line.replace("\xa0", " "), **look)

    def _wrapped(self, text: str, used: int) -> list[str]:
        room = max(self.width - used, 20)
        return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def verdict_look(verdict: str) -> tuple[str, str]:
    """Return the words and the colour of a verdict.

    >>> verdict_look("not-judged")
    ('? not judged', 'cyan')
    """
    look = LOOKS[verdict]
    return f"{look.icon} {look.word}", look.colour.terminal


def severity_look(severity: Severity) -> tuple[str, str]:
    """Return the words and the colour of a severity.

    >>> severity_look(Severity.ERROR)
    ('✗ error', 'red')
    """
    return verdict_look(severity.label)


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[list[str]]:
    """Pad the cells of a table to the width of their column; `sides` says per column where the text stands.

    >>> aligned([["a", "10"], ["bcd", "5"]], "<>")
    [['a  ', '10'], ['bcd', ' 5']]
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)] for row in rows]
