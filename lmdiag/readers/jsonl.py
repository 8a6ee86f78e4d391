"""JSON Lines with one record per line, as people, LLaMA-Factory, ms-swift, verl and many training scripts write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from lmdiag.readers.json_lines import Lost, decode
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.results_table import refuse_results_table
from lmdiag.readers.rows import STEP_OF_TOTAL, Rows
from lmdiag.readers.source import Source

WRAPPER = re.compile(r"^(?:data|metrics|logs?)/(?=.)")
TOTALS = ("total_steps", "max_steps")
LARGE = 8 << 20  # from here on polars is worth its import
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
    if not line.lstrip(b" \t\0").startswith(b"{"):
        return False
    found = decode(line.decode("utf-8", "replace"))
    return isinstance(found, dict) or any(isinstance(piece, dict) for piece in found)


def read(source: Source) -> list[RawLog]:
    """Read every record; a line that is none is counted with its reason."""
    config: dict[str, Any] = {}
    rows = read_rows(source, partial(take, config))
    return [refuse_results_table(rows.log("jsonl", source.name, config=config, source=source.name))]


def read_rows(
    source: Source, take: Callable[[Rows, int, dict[str, Any] | Lost], None], usual: tuple[str, str] = ("", "")
) -> Rows:
    """Gather all records into rows: `take` adds a record to them, or notes its loss.

    In large logs `take` sees only the records that are not plain rows; `usual` is a column and the word it holds in
    those that are.
    """
    if source.size >= LARGE and not source.packed:
        from lmdiag.readers.large_jsonl import read_blocks

        return read_blocks(source.blocks(), take, usual)
    rows = Rows()
    for line, record in records(source):
        take(rows, line, record)
    return rows


def records(source: Source) -> Iterator[tuple[int, dict[str, Any] | Lost]]:
    """Yield each record, or what was lost, with its line number."""
    for line, text in enumerate(source.text.split("\n"), 1):
        if not text or text.isspace():
            continue
        found = decode(text)
        if isinstance(found, dict):
            yield line, found
        else:
            for piece in found:
                yield line, piece


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
        rows.add(unwrapped(record), line)


def unwrapped(record: dict[str, Any]) -> Mapping[str, Any]:
    """Drop the name of the object that holds the metrics: verl writes {"step": 3, "data": {…}}."""
    if not any(type(value) is dict for value in record.values()):
        return record
    cells: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict) and WRAPPER.match(f"{key}/"):
            cells |= value
        else:
            cells[key] = value
    return cells


def total_steps(record: Mapping[str, Any]) -> int | None:
    """Return how many steps the run is to take, where the record says so."""
    for key, value in record.items():
        if key in TOTALS and isinstance(value, (int, float)) and value > 0:
            return int(value)
        if type(value) is str and "/" in value and ("step" in key or "iter" in key):
            fraction = STEP_OF_TOTAL.fullmatch(value)
            return int(fraction[2]) if fraction else None
    return None
