"""Parquet files: what `lmdiag convert` writes, history exports, and saved data frames."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

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
CELLS_BEFORE_SUSPICION, CELLS_PER_BYTE = 1 << 26, 200  # a log of 1,000 metrics, each seldom logged, has 80
ROWS_BEFORE_SUSPICION, ROWS_PER_BYTE = 1 << 20, 16  # the numbers of a log take at least a byte a row
TEXT_BEFORE_SUSPICION, TEXT_PER_BYTE = 1 << 27, 50
NOT_FACTS = ("type", "schema", "run_id", "name", "source", "events")


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the file begins with the mark of parquet."""
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read all columns; the headers that `lmdiag convert` adds give back what a table cannot hold."""
    import polars as pl

    try:
        rows, columns = _shape(source.data)
        if _too_many(rows, columns, len(source.data)):
            raise UnreadableLog(
                f"{source.name} holds {rows:,} rows of {columns} columns in {len(source.data):,} bytes, more than a log would",
                "write the columns and rows that matter to a file of their own",
            )
        frame = pl.read_parquet(io.BytesIO(source.data))
        text = _bytes_of_text(frame)
        if text > max(TEXT_BEFORE_SUSPICION, TEXT_PER_BYTE * len(source.data)):
            raise UnreadableLog(
                f"{source.name} holds {text >> 20:,} MiB of text in {len(source.data):,} bytes, more than a log would",
                "write the columns that matter to a file of their own",
            )
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


def _too_many(rows: int, columns: int, size: int) -> bool:
    """Tell whether a table would be larger in memory than a log in a file of so many bytes can be."""
    cells = rows * max(columns, 1)
    return (
        cells > MOST_CELLS
        or cells > max(CELLS_BEFORE_SUSPICION, CELLS_PER_BYTE * size)
        or rows > max(ROWS_BEFORE_SUSPICION, ROWS_PER_BYTE * size)
    )


def _bytes_of_text(frame: polars.DataFrame) -> int:
    """Return how long all words are together; polars keeps equal ones once, a list of them does not."""
    import polars as pl

    lengths = frame.select(pl.col(pl.String).str.len_bytes().cast(pl.UInt64).sum())
    return int(sum(length or 0 for length in lengths.row(0))) if lengths.width else 0


def _converted(frame: polars.DataFrame, source: Source, head: dict[str, Any]) -> RawLog:
    raw = from_polars_frame(frame.drop("run"), source.name, "parquet")
    facts = facts_of_origin(head.get("source", {}), raw.columns)
    config = {key: value for key, value in head.items() if key not in NOT_FACTS}
    return replace(raw, name=head["name"], config=config, events=tuple(map(event_of, head.get("events", ()))), **facts)
