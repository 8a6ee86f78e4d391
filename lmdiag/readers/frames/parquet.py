"""Parquet files: what `lmdiag convert` writes, history exports, and saved data frames."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.frames.frame import from_polars_frame
from lmdiag.readers.lmdiag_log.converted import event_of, facts_of_origin
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.sources.source import Source

if TYPE_CHECKING:
    import polars

MAGIC = b"PAR1"
MOST_CELLS = 1 << 29  # 4 GiB of numbers
NOT_FACTS = ("type", "schema", "run_id", "name", "source", "events")


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the file begins with the mark of parquet."""
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read all columns; the headers that `lmdiag convert` adds give back what a table cannot hold."""
    import polars as pl

    try:
        rows, columns = _shape(source.data)
        if rows * max(columns, 1) > MOST_CELLS:
            raise UnreadableLog(
                f"{source.name} holds {rows:,} rows of {columns} columns, more than fit into memory",
                "write the columns and rows that matter to a file of their own",
            )
        frame = pl.read_parquet(io.BytesIO(source.data))
        headers = json.loads(pl.read_parquet_metadata(io.BytesIO(source.data)).get("lmdiag", "[]"))
    except UnreadableLog:
        raise
    except Exception as error:
        raise UnreadableLog(
            f"cannot read {source.name} as parquet: {error}", "check that it was copied completely"
        ) from error
    if headers and {"run", "step"} <= set(frame.columns):
        return [_converted(frame.filter(pl.col("run") == head["name"]), source, head) for head in headers]
    return [refuse_results_table(from_polars_frame(frame, source.name, "parquet"))]


def _shape(data: bytes) -> tuple[int, int]:
    """Return the number of rows and columns by the foot of the file: a few bytes can unpack to billions of rows."""
    import polars as pl

    table = pl.scan_parquet(io.BytesIO(data))
    return int(table.select(pl.len()).collect().item()), len(table.collect_schema())


def _converted(frame: polars.DataFrame, source: Source, head: dict[str, Any]) -> RawLog:
    raw = from_polars_frame(frame.drop("run"), source.name, "parquet")
    facts = facts_of_origin(head.get("source", {}), raw.columns)
    config = {key: value for key, value in head.items() if key not in NOT_FACTS}
    return replace(raw, name=head["name"], config=config, events=tuple(map(event_of, head.get("events", ()))), **facts)
