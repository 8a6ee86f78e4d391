"""Which format a printed log has."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from lmdiag.errors import UnreadableLog
from lmdiag.patterns import lazy
from lmdiag.readers.growing import Growing
from lmdiag.readers.numbers import unwrapped
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.drawn_rows import TableScanner, may_hold_tables, tables_in
from lmdiag.readers.text.formats import ALIGNED_TABLE, BARE, FORMATS, GENERIC, PAIRS
from lmdiag.readers.text.hf_console import HF_CONSOLE
from lmdiag.readers.text.line_format import LineFormat, LineScanner
from lmdiag.readers.text.named_lines import looks_like_record
from lmdiag.readers.text.pieces import pieces, without_colours
from lmdiag.readers.text.reading import TextReading, read_blocks
from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source
from lmdiag.sources.text import beginnings, is_program, is_text, text_of

WHOLE = 1 << 20  # characters of a text that is looked at as a whole
SAMPLE = 1 << 16  # of a larger one the start, and windows of a quarter of it from further on
WINDOWS = 8
FEW_HITS = 3
KINDS_LOOKED_AT = 40
FEWEST_BARE, MOSTLY = 10, 0.8
_BARE = lazy(r"-?\d{1,2}\.\d+|nan|inf", re.IGNORECASE)
_PLACE = lazy(r"(\d+)(?: ?/ ?\d+)?[,:;]*")
_OF_A_TOTAL = lazy(r"\d+ ?/ ?(\d+)[,:;]* ")
_ANY_DIGIT = bytes.maketrans(b"123456789", b"000000000")


def sample_of(text: str) -> str:
    """Return the start of a text and windows spread over the rest, cut at line ends."""
    if len(text) <= WHOLE:
        return text
    parts, width = [text[:SAMPLE]], SAMPLE // 4
    for k in range(1, WINDOWS + 1):
        at = SAMPLE + (len(text) - SAMPLE - width) * k // WINDOWS
        parts.append(text[text.find("\n", at, at + width) + 1 : at + width])
    return "\n".join(parts)


def hits(text: str) -> dict[str, int]:
    """Count for every format how many pieces of a text only it prints; formats without any are left out.

    >>> hits("iter 0: loss 4.2133, time 901.22ms, mfu -100.00%")
    {'nanogpt': 1}
    """
    kinds, tables = _look(text)
    found = _hits(kinds) | ({ALIGNED_TABLE.name: tables} if tables else {})
    return {name: found[name] for name in FORMATS if name in found}


def _look(text: str) -> tuple[dict[str, list[str]], int]:
    """Return the pieces of a sample that differ in their digits alone, kind by kind, and how many others are rows of tables."""
    part = sample_of(text)
    kinds: dict[str, list[str]] = {}
    if may_hold_tables(part):
        rows, rest = tables_in(list(pieces(part)))
        for piece in rest:
            kinds.setdefault(_without_digits(piece), []).append(piece)
        return kinds, rows
    for (_, piece), (_, kind) in zip(pieces(part), pieces(_without_digits(part))):
        kinds.setdefault(kind, []).append(piece)
    return kinds, 0


def _without_digits(text: str) -> str:
    """Return a text with zeros for its digits; translating a string with other than ASCII characters takes ten times longer."""
    return text.encode("utf-8", "surrogatepass").translate(_ANY_DIGIT).decode("utf-8", "surrogatepass")


def _hits(kinds: dict[str, list[str]]) -> dict[str, int]:
    marked = [(f, tuple({hint for hint, _ in marks})) for f in FORMATS.values() if (marks := f.every_mark)]
    counts: Counter[str] = Counter()
    for alike in kinds.values():
        for line_format, hints in marked:
            if any(hint in alike[0] for hint in hints) and line_format.marked(alike[0]):
                counts[line_format.name] += len(alike)
    return counts


def format_of(text: str) -> LineFormat:
    """Return the format with the most lines; the more specific one where two have about as many.

    A few such lines are no reason to leave out more of named numbers, of which the format knows nothing. Tables that
    stand among the lines of another format are read beside them.
    """
    kinds, tables = _look(text)
    found = _hits(kinds)
    best, most = GENERIC, 0
    if found:
        most = max(found.values())
        best = FORMATS[next(name for name in FORMATS if found[name] >= 0.5 * most)]
        few = most < FEW_HITS
        if most * (4 if few else 1) < _left_out(best, kinds, few):
            best = GENERIC
    if not tables:
        return best
    if (_left_out(GENERIC, kinds) if best is GENERIC else most) < FEW_HITS:
        return ALIGNED_TABLE
    return replace(best, reads=lambda table, text: TableScanner(table, text, beside=best.scanner(table, text)))


def _left_out(line_format: LineFormat, kinds: dict[str, list[str]], few: bool = False) -> int:
    """Count the pieces with a loss and its place that a format does not read; those of the fallback are all counted.

    Where there are but a `few` lines of it, the dictionaries of the Trainer are no reason either.
    """
    scanner = line_format.scanner(line_format.table(), "")
    own = scanner.plans.reader if isinstance(scanner, LineScanner) and (few or line_format is not HF_CONSOLE) else None
    if own is None and line_format is not GENERIC:
        return 0
    frequent = sorted(kinds.values(), key=len, reverse=True)[:KINDS_LOOKED_AT]
    unread = [alike for alike in frequent if own is None or not any(values for values, _ in own(alike[0]))]
    foreign = [alike for alike in unread if not any(f.marked(alike[0]) for f in FORMATS.values())]
    return sum(len(alike) for alike in foreign if looks_like_record(alike[0]))


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the first bytes are text that holds a line of a known format."""
    return (
        not name.endswith("/") and not is_program(name) and is_text(head) and bool(hits(without_colours(as_text(head))))
    )


def read(source: Source, counter: str = "") -> list[RawLog]:
    """Read a printed log of any format; raise `UnreadableLog` where no line looks like a training record.

    `counter` is the word that the user says counts its steps.
    """
    start = without_colours(beginnings(source))
    line_format = of_numbers_alone(start, source.met) or format_of(start)
    try:
        return read_blocks(line_format, source.name, text_of(source), counter)
    except UnreadableLog:
        if line_format is GENERIC:
            raise
        return read_blocks(GENERIC, source.name, text_of(source), counter)


def of_numbers_alone(text: str, met: bool = False) -> LineFormat | None:
    """Return the format of a text of which nearly all lines are a number, as of a loss, or a count that grows and one.

    In a file that was met in a folder, which may hold any data, each count must be one of the same total: `100/ 2000: 2.5`.

    >>> of_numbers_alone("2.5\\n2.25\\n" * 5).name, of_numbers_alone("".join(f"{k}0 2.{k}\\n" for k in range(1, 11))).name
    ('one-number-a-line', 'two-numbers-a-line')
    >>> of_numbers_alone("12\\n15\\n" * 5), of_numbers_alone("1 2\\n2 4\\n" * 5)
    (None, None)
    >>> of_numbers_alone("| epoch | acc |\\n" + "".join(f"| {k} | 0.{k} |\\n" for k in range(1, 10)))
    """
    lines = [unwrapped(line).split() for line in text[:SAMPLE].split("\n") if line.strip(" |\t\r")][:FEWEST_BARE]
    if len(lines) < FEWEST_BARE or (met and not _counts_to_a_total(lines)):
        return None
    least = MOSTLY * FEWEST_BARE if all("|" not in words for words in lines) else FEWEST_BARE  # a table without a head
    lines = [[word for word in words if word != "|"] for words in lines]
    lines = [words for words in lines if _BARE.fullmatch(words[-1])]
    alone = [words[0] for words in lines if len(words) == 1]
    if len(alone) >= least and len(set(alone)) > 1:
        return BARE
    places = [_PLACE.fullmatch(" ".join(counted)) for *counted, _ in lines]
    counts = [int(place[1]) for place in places if place]
    return PAIRS if len(counts) >= least and counts == sorted(set(counts)) else None


def _counts_to_a_total(lines: list[list[str]]) -> bool:
    totals = [_OF_A_TOTAL.match(" ".join(words)) for words in lines]
    return all(totals) and len({total[1] for total in totals if total}) == 1


def begin(name: str, start: str, counter: str = "") -> Growing:
    """Return a reading of a log that lines can be added to; its beginning tells the format."""
    return TextReading(format_of(without_colours(start)), name, start, counter)
