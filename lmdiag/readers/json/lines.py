"""JSON Lines with one record per line, as people, LLaMA-Factory, ms-swift, verl and many training scripts write them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from lmdiag.readers.growing import Growing
from lmdiag.readers.json.decode import Lost, decode
from lmdiag.readers.json.logged import TOTALS, bound, logs_of
from lmdiag.readers.json.taking import Take, take_line
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.readers.tables.rows import STEP_OF_TOTAL, Rows
from lmdiag.sources.source import Source

LLAMA_FACTORY = {"current_steps", "total_steps", "percentage", "accuracy"}
PACKING = 8  # a packed log is at least so many times larger
LARGE = 8 << 20  # from here on polars is worth its import
WORTH_A_TABLE = 1 << 18  # from here on it is faster where it is imported already
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
    config: dict[str, Any] = {}
    return _logs(source.name, config, read_rows(source, partial(take, config)))


def begin(name: str, start: str) -> Growing:
    """Return a reading of a log that lines can be added to."""
    config: dict[str, Any] = {}
    return GrowingRows(partial(take, config), partial(_logs, name, config))


def _logs(name: str, config: Mapping[str, Any], rows: Rows) -> list[RawLog]:
    return [_of_pairs(refuse_results_table(log)) for log in logs_of(rows, "jsonl", name, {"config": dict(config)})]


def _of_pairs(log: RawLog) -> RawLog:
    """Name the accuracy of LLaMA-Factory's `trainer_log.jsonl` (0.9): that of pairs, which only training on preferences has."""
    if not log.columns.keys() >= LLAMA_FACTORY:
        return log
    return replace(log, names={**log.names, "accuracy": "reward_accuracy"}, method="dpo")


def read_rows(source: Source, take: Take, usual: tuple[str, str] = ("", "")) -> Rows:
    """Gather all records into rows: `take` adds a record to them, or notes its loss.

    In large logs `take` sees only the records that are not plain rows; `usual` is a column and the word it holds in
    those that are.
    """
    if _is_large(source):
        from lmdiag.readers.json.large import read_blocks

        return read_blocks(source.blocks(), take, usual)
    rows = Rows()
    add_lines(rows, source.text, take)
    return rows


def _is_large(source: Source) -> bool:
    if source.packed:
        return source.size * PACKING >= LARGE
    return source.size >= (WORTH_A_TABLE if "polars" in sys.modules else LARGE)


def add_lines(rows: Rows, lines: str, take: Take, first_line: int = 1) -> None:
    """Take in each record, or what was lost, of a piece of a log that begins on this line of it."""
    rows.tally.count_lines(lines)
    for line, text in enumerate(lines.removesuffix("\n").split("\n") if lines else (), first_line):
        if not text or text.isspace():
            rows.tally.blank += 1
        else:
            take_line(rows, line, decode(text), take)


class GrowingRows:
    """Rows of a log in JSON Lines so far: `take` adds a record to them, `logs` tells what they mean."""

    def __init__(self, take: Take, logs: Callable[[Rows], list[RawLog]]) -> None:
        self._take, self._logs = take, logs
        self._rows = Rows()
        self._next_line = 1

    def feed(self, lines: str) -> None:
        """Read further whole lines."""
        add_lines(self._rows, lines, self._take, self._next_line)
        self._next_line += lines.count("\n")

    def logs(self) -> list[RawLog]:
        """Return what was read so far, as `read` returns it."""
        return self._logs(self._rows)


def take(config: dict[str, Any], rows: Rows, line: int, record: dict[str, Any] | Lost) -> None:
    """Add a record to the rows, and what it says about the whole run to the config."""
    if isinstance(record, Lost):
        rows.skip(line, record.reason)
    elif "log_history" in record:
        rows.skip(line, "a summary that repeats the whole log")
    else:
        total = total_steps(record)
        if total:
            config["max_steps"] = total
        rows.add(bound(record), line)


def total_steps(record: Mapping[str, Any]) -> int | None:
    """Return how many steps the run is to take, where the record says so."""
    for key, value in record.items():
        if key in TOTALS and isinstance(value, (int, float)) and value > 0:
            return int(value)
        if type(value) is str and "/" in value and ("step" in key or "iter" in key):
            fraction = STEP_OF_TOTAL.fullmatch(value)
            return int(fraction[2]) if fraction else None
    return None
