"""Parquet files: what `lmdiag convert` writes, history exports, and saved data frames."""

from __future__ import annotations

import io

from lmdiag.errors import UnreadableLog
from lmdiag.readers.from_frame import from_polars_frame
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.results_table import refuse_results_table
from lmdiag.readers.source import Source

MAGIC = b"PAR1"


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the file begins with the mark of parquet."""
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read all columns; the header that `lmdiag convert` adds gives back what a table cannot hold."""
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(source.data))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise UnreadableLog(
            f"cannot read {source.name} as parquet: {error}", "check that it was copied completely"
        ) from error
    return [refuse_results_table(from_polars_frame(frame, source.name, "parquet"))]
