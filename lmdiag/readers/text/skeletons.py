"""Large logs of one record a line: the bulk of the lines is cut in columns by polars, the rest is read line by line.

Which numbers of a line make which column is not written down twice: it is learnt from the scanner of the format, by
changing one number of a line at a time and looking which column changes.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmdiag.readers.tables.tally import Tally
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import LONGEST_PIECE
from lmdiag.readers.text.table import STEP, Table

if TYPE_CHECKING:
    import polars

    from lmdiag.readers.text.scanner import Scanner

LARGE = 8 << 20  # characters from which on polars is worth its import
LEARNT_FROM = 1 << 15
MOST_LAYOUTS = 3
FEWEST_LINES = 20
COMPARED_LINES = 100
MARKER, FOREIGN = "\x02", "\x01"  # never in a printed log
_TOKEN = lazy(r"(?<![\w.])([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")  # lines are learnt from finite numbers
_HARMLESS_START = r"^[\s\[\]\d:.,T-]*$"
TOTAL = "total"


@dataclass(frozen=True)
class Layout:
    """Lines of equal text but for their numbers: `literals` stand before each number from the first used one on.

    `columns` names the number (counted from the first used one) that each column takes its value from.
    """

    literals: tuple[str, ...]
    columns: dict[str, int]
    units: dict[str, str]


def usable(text: str) -> bool:
    """Tell whether a text is large, and plain enough to be cut by lines."""
    return len(text) >= LARGE and not any(char in text for char in ("\r", "\x08", MARKER, FOREIGN))


def learn(scanner: Callable[[Table, str], Scanner], text: str) -> list[Layout]:
    """Find the layouts of the most frequent record lines at the start of a text."""
    examples: dict[tuple[str, ...], str] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    middle = len(text) // 2
    for line in [*text[:LEARNT_FROM].split("\n")[:-1], *text[middle : middle + LEARNT_FROM].split("\n")[1:-1]]:
        skeleton = tuple(part.strip() for part in _TOKEN.split(line)[::2])
        examples.setdefault(skeleton[1:], line)
        counts[skeleton[1:]] += 1
    frequent = [skeleton for skeleton, count in counts.most_common(8) if count >= FEWEST_LINES and len(skeleton) < 64]
    layouts = (_layout(scanner, examples[skeleton]) for skeleton in frequent)
    return [layout for layout in layouts if layout][:MOST_LAYOUTS]


def _row(scanner: Callable[[Table, str], Scanner], line: str) -> tuple[dict[str, float], dict[str, str]] | None:
    """Return what a fresh scanner makes of one line: its columns with the announced total, and their units."""
    table = Table()
    read = len(line) <= LONGEST_PIECE and scanner(table, line).feed(1, line)
    if not read or len(table.lines) != 1 or table.skipped or table.ranks != [None]:
        return None
    values = {name: values[0] for name, (_, values) in table.columns.items()}
    return values | {TOTAL: float(table.totals[0])}, table.units


def _layout(scanner: Callable[[Table, str], Scanner], line: str) -> Layout | None:
    """Change one number of a line at a time and see which columns follow it."""
    found = _row(scanner, line)
    if found is None or STEP not in found[0]:
        return None
    row, units = found
    tokens = list(_TOKEN.finditer(line))
    follows: dict[str, int] = {}
    for place, token in enumerate(tokens):
        other = "77777" if token[1].isdigit() else "7.25"
        changed = _row(scanner, line[: token.start()] + other + line[token.end() :])
        for name in row if changed else ():
            if changed and row[name] != changed[0].get(name) == float(other):
                follows[name] = place
    if set(row) - set(follows) - ({TOTAL} if not row[TOTAL] else set()):
        return None
    first = min(follows.values())
    ends = [tokens[place - 1].end() if place else 0 for place in range(first, len(tokens))]
    literals = [_literal(line[end : tokens[first + k].start()]) for k, end in enumerate(ends)]
    literals[0] = re.split(r"[\]\d]\s*", literals[0])[-1].lstrip()
    literals.append(line[tokens[-1].end() :].rstrip())
    if not all(literal.strip() for literal in literals[:-1]) or len(set(literals)) < len(literals):
        return None
    return Layout(tuple(literals), {name: place - first for name, place in follows.items()}, units)


def _literal(between: str) -> str:
    """Return the text before a number, without the blanks that pad the number."""
    return between.rstrip() if between.endswith("  ") else between


def cut(
    text: str, layouts: list[Layout], scanner: Callable[[Table, str], Scanner], tally: Tally
) -> tuple[Table, list[tuple[int, str]]]:
    """Return a table of the lines that fit a layout, and (line number, line) of all others; these and blank lines are counted."""
    import polars as pl

    # Cutting lines as a table of one column is several times faster than splitting a string; blank lines stay.
    schema = {"line": pl.String}
    lines = pl.read_csv(text.encode(), has_header=False, separator=FOREIGN, quote_char=None, schema=schema)["line"]
    left = np.arange(len(lines))
    parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for layout in layouts:
        some = lines if len(left) == len(lines) else lines.gather(left)
        fits, columns = _cut(some, layout)
        if _agree(some, np.flatnonzero(fits), columns, scanner):
            parts.append((left[fits] + 1, columns))
            left = left[~fits]
            tally.with_records += int(fits.sum())
    rest = zip((left + 1).tolist(), lines.gather(left).to_list())
    others = [(number, line) for number, line in rest if line and not line.isspace()]
    tally.blank += len(left) - len(others)
    return _joined(parts), others


def _cut(lines: polars.Series, layout: Layout) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return which lines fit a layout, and the values of its columns in those lines.

    The text between the numbers is replaced by separators, and the whole is read as a table: a line of other text, or
    with anything but a number between two separators, has an empty cell there and does not fit.
    """
    import polars as pl

    literals = [literal for literal in layout.literals if literal]
    numbers = [f"number {k}" for k in range(len(layout.literals) - 1)]
    words = ["end", "more"] if layout.literals[-1] else ["more"]
    schema = {"start": pl.String} | dict.fromkeys(numbers, pl.Float64) | dict.fromkeys(words, pl.String)
    marked = lines.str.replace_many(literals, [MARKER] * len(literals), leftmost=True)
    buffer = io.BytesIO()
    buffer.write((MARKER * (len(schema) - 1) + "\n").encode())  # the first line tells polars how many fields there are
    marked.to_frame().write_csv(buffer, include_header=False, quote_style="never")
    cells = pl.read_csv(buffer.getvalue(), has_header=False, separator=MARKER, quote_char=None, schema=schema,
                        ignore_errors=True, truncate_ragged_lines=True)[1:]  # fmt: skip
    if len(cells) != len(lines):
        return np.zeros(len(lines), bool), {}
    fits = cells["more"].is_null()
    if cells["start"].null_count() < len(cells):
        fits &= cells["start"].is_null() | cells["start"].str.contains(_HARMLESS_START)
    if "end" in schema and cells["end"].null_count() < len(cells):
        fits &= cells["end"].fill_null("").str.strip_chars(" ") == ""
    for name in numbers:
        if cells[name].null_count():
            fits &= cells[name].is_not_null()
    chosen = {name: cells[numbers[place]].filter(fits).to_numpy() for name, place in layout.columns.items()}
    return fits.to_numpy(), chosen


def _agree(
    lines: polars.Series, where: np.ndarray, columns: dict[str, np.ndarray], scanner: Callable[[Table, str], Scanner]
) -> bool:
    """Tell whether the scanner reads the same values from a sample of the lines that were cut."""
    for at in np.unique(np.linspace(0, len(where) - 1, COMPARED_LINES).astype(int)) if len(where) else ():
        row = _row(scanner, lines[int(where[at])])
        if row is None or any(row[0].get(n, 0.0) != v[at] and not np.isnan(v[at]) for n, v in columns.items()):
            return False
    return len(where) > 0


class Place:
    """Follows where among the rows of a bulk table a line stands that is read one by one."""

    def __init__(self, bulk: Table) -> None:
        self._lines = np.asarray(bulk.lines)
        steps = bulk.columns.get(STEP, ([], []))[1]
        self._steps = np.asarray(steps)

    def tell(self, line: int, table: Table, last_line: int) -> None:
        """Let a table know how many rows stand before a line, and the last step when that is one of the bulk."""
        before = int(np.searchsorted(self._lines, line))
        table.rows_elsewhere = before
        if before and self._lines[before - 1] > last_line:
            table.last_step = int(self._steps[before - 1])


def _joined(parts: list[tuple[np.ndarray, dict[str, np.ndarray]]]) -> Table:
    """Put the lines of all layouts into one table, in the order of the log."""
    if len(parts) == 1:  # in order already
        lines, columns = parts[0]
        rows = np.arange(len(lines))
        totals = columns.pop(TOTAL, np.zeros(len(lines)))
        table = Table()
        table.lines, table.totals = lines, totals
        table.columns = {name: (rows, values) for name, values in columns.items()}
        return table
    where = np.concatenate([np.empty(0, np.int64), *(lines for lines, _ in parts)])
    order = np.argsort(where, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    table, start = Table(), 0
    totals = np.zeros(len(order))
    cells: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for lines, columns in parts:
        rows = place[start : start + len(lines)]
        start += len(lines)
        for name, values in columns.items():
            if name == TOTAL:
                totals[rows] = values
            else:
                cells.setdefault(name, []).append((rows, values))
    table.lines, table.totals = where[order], totals
    for name, found in cells.items():
        rows, values = (np.concatenate(arrays) for arrays in zip(*found))
        by_row = np.argsort(rows, kind="stable")
        table.columns[name] = (rows[by_row], values[by_row])
    return table


def merged(bulk: Table, rest: Table) -> None:
    """Move the rows of `bulk` into `rest`, the table of the lines that were read one by one, in the order of the log."""
    if not len(rest.lines):
        rest.lines, rest.totals, rest.columns = bulk.lines, bulk.totals, bulk.columns
        rest.ranks, rest.rows_elsewhere = [None] * len(bulk.lines), 0
        return
    where = np.concatenate([np.asarray(bulk.lines), np.asarray(rest.lines, np.int64)])
    order = np.argsort(where, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    of_bulk, of_rest = place[: len(bulk.lines)], place[len(bulk.lines) :]
    for name in dict.fromkeys([*bulk.columns, *rest.columns]):
        sides = [(of_bulk, bulk.columns.get(name)), (of_rest, rest.columns.get(name))]
        rows = np.concatenate([at[np.asarray(column[0], np.int64)] for at, column in sides if column])
        values = np.concatenate([np.asarray(column[1], np.float64) for _, column in sides if column])
        by_row = np.argsort(rows, kind="stable")
        rest.columns[name] = (rows[by_row], values[by_row])
    ranks: list[int | None] = [None] * len(order)
    for row, rank in zip(of_rest.tolist(), rest.ranks):
        ranks[row] = rank
    rest.lines, rest.ranks, rest.rows_elsewhere = where[order], ranks, 0
    rest.totals = np.concatenate([np.asarray(bulk.totals), np.asarray(rest.totals, np.float64)])[order]
