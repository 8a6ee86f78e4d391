"""Data frames in memory -> Run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmdiag.gather import run_of
from lmdiag.readers.frames.frame import from_pandas_frame, from_polars_frame
from lmdiag.run import Run

if TYPE_CHECKING:
    import pandas
    import polars


def from_pandas(frame: pandas.DataFrame, name: str = "frame") -> Run:
    """Return the run that a pandas data frame holds, one row per record.

    >>> import pandas as pd
    >>> from_pandas(pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}))["loss"].values.tolist()
    [2.0, 1.0]
    """
    return run_of(from_pandas_frame(frame, name))


def from_polars(frame: polars.DataFrame, name: str = "frame") -> Run:
    """Return the run that a polars data frame holds, one row per record.

    >>> import polars as pl
    >>> from_polars(pl.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}))["loss"].values.tolist()
    [2.0, 1.0]
    """
    return run_of(from_polars_frame(frame, name))
