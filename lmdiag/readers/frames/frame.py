"""Data frames and parquet files: a table already in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Skipped

if TYPE_CHECKING:
    import pandas
    import polars


def from_polars_frame(frame: polars.DataFrame, name: str = "frame", format: str = "polars") -> RawLog:
    """Return the columns of a polars data frame; null is not measured, NaN was logged as such."""
    import polars as pl

    columns: dict[str, Column] = {}
    texts: dict[str, tuple[np.ndarray, list[str]]] = {}
    skipped: list[Skipped] = []
    given = frame.select(pl.all().is_not_null()).to_numpy().T
    shared: dict[bytes, np.ndarray] = {}  # most columns have values in the same rows
    for column, there in zip(frame.iter_columns(), given):
        kept = column.drop_nulls()
        where = there.tobytes()
        if where not in shared:
            shared[where] = np.flatnonzero(there)
        rows = shared[where]
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            columns[column.name] = Column(rows, kept.cast(pl.Float64).to_numpy())
        elif column.dtype == pl.String:
            numbers, words, skips = _from_words(column.name, rows, kept.to_list())
            columns |= numbers
            texts |= words
            skipped += skips
        elif column.dtype.is_temporal():
            columns[column.name] = Column(
                rows,
                kept.cast(pl.Datetime("us")).dt.epoch("us").to_numpy() / 1e6
                if column.dtype != pl.Duration
                else kept.dt.total_microseconds().to_numpy() / 1e6,
            )
        elif len(kept):
            skipped.append(Skipped(0, f'values of type {column.dtype} in "{column.name}"', len(kept), "value"))
    return RawLog(format, name, columns, frame.height, source=name, texts=texts, skipped=tuple(skipped))


def _from_words(
    name: str, rows: np.ndarray, words: list[str]
) -> tuple[dict[str, Column], dict[str, Any], tuple[Skipped, ...]]:
    table = Rows()
    for word in words:
        table.add({name: word})
    numbers = {n: Column(rows[c.rows], c.values) for n, c in table.columns.items()}
    texts = {n: (rows[at], found) for n, (at, found) in table.texts.items()}
    return numbers, texts, table.skipped


def from_pandas_frame(frame: pandas.DataFrame, name: str = "frame") -> RawLog:
    """Return the columns of a pandas data frame; a named index, or one other than 0, 1, 2, …, is the step.

    NaN in pandas may mean "not measured" or "was NaN". It is taken for missing where most of a column is NaN, or where the
    rows in question hold what the others lack, as evaluations among training steps do; elsewhere it was logged.
    """
    import pandas as pd

    if frame.index.name or not frame.index.equals(pd.RangeIndex(len(frame))):
        frame = frame.reset_index(names=str(frame.index.name or "step"))
    columns: dict[str, Column] = {}
    texts: dict[str, tuple[np.ndarray, list[str]]] = {}
    skipped: list[Skipped] = []
    measured = [~np.isnan(frame[c].to_numpy(np.float64)) for c in frame.select_dtypes("float").columns]
    for label in frame.columns:
        column = frame[label]
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
            values = column.to_numpy(np.float64)
            rows = np.flatnonzero(~_missing(values, measured))
            columns[str(label)] = Column(rows, values[rows])
            continue
        words = [None if value is None or value is pd.NA or value is pd.NaT else str(value) for value in column]
        rows = np.asarray([i for i, word in enumerate(words) if word is not None], np.int64)
        numbers, found, skips = _from_words(str(label), rows, [word for word in words if word is not None])
        columns |= numbers
        texts |= found
        skipped += skips
    return RawLog("pandas", name, columns, len(frame), source=name, texts=texts, skipped=tuple(skipped))


def _missing(values: np.ndarray, measured: list[np.ndarray]) -> np.ndarray:
    """Return which NaN of a column stand for "not measured": bool[n]."""
    nan = np.isnan(values)
    if not nan.any() or nan.mean() > 0.5:
        return nan
    elsewhere = [m for m in measured if m[~nan].mean() <= 0.1]
    return nan & np.any(elsewhere, axis=0) if elsewhere else np.zeros(len(values), bool)
