"""What lines of JSON hold goes into the rows, and each line is counted by what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from lmdiag.readers.json.decode import Lost, decode, decode_all
from lmdiag.readers.tables.rows import Rows

Take = Callable[[Rows, int, dict[str, Any] | Lost], None]  # adds a record to the rows, or notes its loss
Usual = tuple[str, str]  # a column, and the word it holds in plain records; ("", "") where all may be plain

TOGETHER = 512  # lines that are decoded at once
FEWEST_TOGETHER = 8  # of fewer lines, each is decoded by itself where one is no record
NESTED = frozenset({dict, list})


def take_lines(rows: Rows, lines: Sequence[str], take: Take, first_line: int, usual: Usual) -> None:
    """Take in each record, or what was lost, of lines that follow each other from this one on."""
    numbered: list[tuple[int, str]] = []
    for line, text in enumerate(lines, first_line):
        if not text or text.isspace():
            rows.tally.blank += 1
        else:
            numbered.append((line, text))
    for start in range(0, len(numbered), TOGETHER):
        _take_together(rows, numbered[start : start + TOGETHER], take, usual)


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


def is_plain(record: dict[str, Any], usual: Usual) -> bool:
    """Tell whether a record holds neither objects nor lists, and is of the usual kind."""
    of_kind = record.get(*usual) == usual[1] if usual[0] else "" not in record
    return of_kind and NESTED.isdisjoint(map(type, record.values()))


def _take_together(rows: Rows, lines: list[tuple[int, str]], take: Take, usual: Usual) -> None:
    """Decode some lines at once where each is a record and nothing else, else the halves of them, in the end each by itself."""
    records = decode_all([text for _, text in lines])
    if records is None and len(lines) >= FEWEST_TOGETHER:
        _take_together(rows, lines[: len(lines) // 2], take, usual)
        _take_together(rows, lines[len(lines) // 2 :], take, usual)
        return
    if records is None:
        for line, text in lines:
            take_line(rows, line, decode(text), take)
        return
    numbers = [line for line, _ in lines]
    for plain, members in _stretches(records, usual):
        if plain:
            for record in records[members]:
                record.pop(usual[0], None)
            rows.extend(records[members], numbers[members])
            rows.tally.with_records += members.stop - members.start
        else:
            for line, record in zip(numbers[members], records[members]):
                take_line(rows, line, record, take)


def _stretches(records: list[dict[str, Any]], usual: Usual) -> Iterator[tuple[bool, slice]]:
    """Yield stretches of records, and whether they are plain."""
    start = 0
    for plain, members in groupby(records, lambda record: is_plain(record, usual)):
        stop = start + sum(1 for _ in members)
        yield plain, slice(start, stop)
        start = stop
