"""JSON Lines with one record per line, as people, LLaMA-Factory, ms-swift, verl and many training scripts write them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from lmdiag.readers.growing import Growing
from lmdiag.readers.json.decode import Lost, decode
from lmdiag.readers.json.logged import bound, logs_of
from lmdiag.readers.json.taking import Take, Usual
from lmdiag.readers.json.typed import TypedLines
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.source import Source

LLAMA_FACTORY = {"current_steps", "total_steps", "percentage", "accuracy"}
VERL = {"step", "data"}  # of its file logger, whose orjson writes null for NaN and infinities
MOST_FIRST_LINES = 20
BLOCK_BYTES = 1 << 22  # a larger block would be memory that is new every time


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


def read_rows(source: Source, take: Take, usual: Usual = ("", "")) -> Rows:
    """Gather all records into rows: `take` adds a record to them, or notes its loss.

    It sees only the records that are not plain rows; `usual` is a column and the word it holds in those that are.
    """
    lines = TypedLines(take, usual)
    for block in source.blocks(BLOCK_BYTES):
        lines.add(block)
    return lines.rows


class GrowingRows:
    """Rows of a log in JSON Lines so far: `take` adds a record that is not `usual` to them, `logs` tells what they mean."""

    def __init__(self, take: Take, logs: Callable[[Rows], list[RawLog]], usual: Usual = ("", "")) -> None:
        self._logs = logs
        self._lines = TypedLines(take, usual)

    def feed(self, lines: str) -> None:
        """Read further whole lines."""
        self._lines.add(lines.encode())

    def logs(self) -> list[RawLog]:
        """Return what was read so far, as `read` returns it."""
        return self._logs(self._lines.rows)


def take(rows: Rows, line: int, record: dict[str, Any] | Lost) -> None:
    """Add a record to the rows."""
    if isinstance(record, Lost):
        rows.skip(line, record.reason, record.unit)
    elif "log_history" in record:
        rows.skip(line, "a summary that repeats the whole log")
    elif record.keys() == VERL and type(record["data"]) is dict:
        rows.add(bound({**record, "data": {n: math.nan if v is None else v for n, v in record["data"].items()}}), line)
    else:
        rows.add(bound(record), line)
