"""The tables of a page of HTML."""

from __future__ import annotations

from html.parser import HTMLParser


def tables(html: str) -> list[str]:
    """Return every table of a page as lines of cells between tabs.

    >>> tables("<table><tr><th>Step</th><th>Loss</th></tr><tr><td> 10 </td><td>2.5</td></tr></table>")
    ['Step\\tLoss\\n10\\t2.5\\n']
    """
    reading = _Tables()
    reading.feed(html)
    return ["".join("\t".join(map(_cell, row)) + "\n" for row in table if row) for table in reading.tables]


def _cell(text: str) -> str:
    return " ".join(text.split())


class _Tables(HTMLParser):
    """Gathers tables as lists of rows of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")
        self._inside = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th", "table")

    def handle_data(self, data: str) -> None:
        if self._inside and self.tables and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data
