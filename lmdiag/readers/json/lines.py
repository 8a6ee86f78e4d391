"""JSON Lines with one record per line, as people, LLaMA-Factory, ms-swift, verl and many training scripts write them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, groupby
from typing import Any

from msgspec.structs import replace

from lmdiag.readers.growing import Growing
from lmdiag.readers.json.decode import Lost, decode, decode_all
from lmdiag.readers.json.logged import bound, logs_of
from lmdiag.readers.json.taking import Take, take_line
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.source import Source

LLAMA_FACTORY = {"current_steps", "total_steps", "percentage", "accuracy"}
PACKING = 8  # a packed log is at least so many times larger
LARGE = 8 << 20  # from here on polars is worth its import
WORTH_A_TABLE = 1 << 18  # from here on it is faster where it is imported already
TOGETHER = 512  # lines that are decoded at once
FEWEST_TOGETHER = 8  # of fewer lines, each is decoded by itself where one is no record
NESTED = frozenset({dict, list})
MOST_FIRST_LINES = 20


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the first lines are mostly JSON objects, each whole on its line."""
    lines = [line for line in head[: head.rfind(b"\n") + 1 or None].split(b"\n") if line.strip(b" \r\t\0")][
        :MOST_FIRST_LINES
    ]
    records = [line for line in lines if _is_record(line)]
    named = name.removesuffix(".gz").removesuffix(".zst").endswith((".jsonl", ".ndjson"))
    return bool(records) and (named or 2 * len(records) >= len(lines))


def _is_record(line: bytes) -> bool:
    begins = line.lstrip(b" \t\0")
    if not begins.startswith(b"{") or begins[1:].lstrip()[:1] == b"'":  # what Python prints is read as text
        return False
    found = decode(line.decode("utf-8", "replace"))
    return isinstance(found, dict) or any(isinstance(piece, dict) for piece in found)


def read(source: Source) -> list[RawLog]:
    """Read every record; a line that is none is counted with its reason."""
    return _logs(source.name, read_rows(source, take))


def begin(name: str, start: str) -> Growing:
    """Return a reading of a log that lines can be added to."""
    return GrowingRows(take, partial(_logs, name))


def _logs(name: str, rows: Rows) -> list[RawLog]:
    return [_of_pairs(refuse_results_table(log)) for log in logs_of(rows, "jsonl", name, {})]


def _of_pairs(log: RawLog) -> RawLog:
    """Name the accuracy of LLaMA-Factory's `trainer_log.jsonl` (0.9): that of pairs, which only training on preferences has."""
    if not log.columns.keys() >= LLAMA_FACTORY:
        return log
    return replace(log, names={**log.names, "accuracy": "reward_accuracy"}, method="dpo")


def read_rows(source: Source, take: Take, usual: tuple[str, str] = ("", "")) -> Rows:
    """Gather all records into rows: `take` adds a record to them, or notes its loss.

    It sees only the records that are not plain rows; `usual` is a column and the word it holds in those that are.
    """
    if _is_large(source):
        from lmdiag.readers.json.large import read_blocks

        return read_blocks(source.blocks(), take, usual)
    rows = Rows()
    add_lines(rows, source.text, take, usual=usual)
    return rows


def _is_large(source: Source) -> bool:
    if source.packed:
        return source.size * PACKING >= LARGE
    return source.size >= (WORTH_A_TABLE if "polars" in sys.modules else LARGE)


def add_lines(rows: Rows, lines: str, take: Take, first_line: int = 1, usual: tuple[str, str] = ("", "")) -> None:
    """Take in each record, or what was lost, of a piece of a log that begins on this line of it; `usual` as in `read_rows`."""
    rows.tally.count_lines(lines)
    numbered: list[tuple[int, str]] = []
    for line, text in enumerate(lines.removesuffix("\n").split("\n") if lines else (), first_line):
        if not text or text.isspace():
            rows.tally.blank += 1
        else:
            numbered.append((line, text))
    for start in range(0, len(numbered), TOGETHER):
        _add_together(rows, numbered[start : start + TOGETHER], take, usual)


def _add_together(rows: Rows, lines: list[tuple[int, str]], take: Take, usual: tuple[str, str]) -> None:
    """Decode some lines at once where each is a record and nothing else, else the halves of them, in the end each by itself."""
    records = decode_all([text for _, text in lines])
    if records is None and len(lines) >= FEWEST_TOGETHER:
        _add_together(rows, lines[: len(lines) // 2], take, usual)
        _add_together(rows, lines[len(lines) // 2 :], take, usual)
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


def _stretches(records: list[dict[str, Any]], usual: tuple[str, str]) -> Iterator[tuple[bool, slice]]:
    """Yield stretches of records, and whether they are plain: they hold neither objects nor lists, and are of the usual kind."""
    column, word = usual
    values = chain.from_iterable(record.values() for record in records)
    if NESTED.isdisjoint(map(type, values)) and {record.get(column, word) for record in records} == {word}:
        yield True, slice(0, len(records))
        return
    start = 0
    for plain, members in groupby(records, lambda record: _is_plain(record, usual)):
        stop = start + sum(1 for _ in members)
        yield plain, slice(start, stop)
        start = stop


def _is_plain(record: dict[str, Any], usual: tuple[str, str]) -> bool:
    return NESTED.isdisjoint(map(type, record.values())) and record.get(*usual) == usual[1]


class GrowingRows:
    """Rows of a log in JSON Lines so far: `take` adds a record that is not `usual` to them, `logs` tells what they mean."""

    def __init__(self, take: Take, logs: Callable[[Rows], list[RawLog]], usual: tuple[str, str] = ("", "")) -> None:
        self._take, self._logs, self._usual = take, logs, usual
        self._rows = Rows()
        self._next_line = 1

    def feed(self, lines: str) -> None:
        """Read further whole lines."""
        add_lines(self._rows, lines, self._take, self._next_line, self._usual)
        self._next_line += lines.count("\n")

    def logs(self) -> list[RawLog]:
        """Return what was read so far, as `read` returns it."""
        return self._logs(self._rows)


def take(rows: Rows, line: int, record: dict[str, Any] | Lost) -> None:
    """Add a record to the rows."""
    if isinstance(record, Lost):
        rows.skip(line, record.reason)
    elif "log_history" in record:
        rows.skip(line, "a summary that repeats the whole log")
    else:
        rows.add(bound(record), line)
