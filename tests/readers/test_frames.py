"""Data frames and parquet: what is missing, what was NaN, and what a table cannot hold."""

import io

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lmdiag import from_pandas, from_polars
from lmdiag.convert import parquet
from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers import read_source
from lmdiag.run import Event, Run, Segment, Series
from lmdiag.sources.source import Source

NAN = float("nan")


def points(run, metric="loss"):
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


def test_columns_with_values_in_the_same_rows_share_them():
    frame = pl.DataFrame({"step": [1, None, 3], "loss": [2.5, None, 2.0], "lr": [0.1, 0.1, 0.1]})
    content = io.BytesIO()
    frame.write_parquet(content)
    (raw,) = read_source(Source("a.parquet", content=content.getvalue()))
    assert raw.columns["step"].rows is raw.columns["loss"].rows
    assert [column.rows.tolist() for column in raw.columns.values()] == [[0, 2], [0, 2], [0, 1, 2]]


def test_null_is_missing_and_nan_was_logged_in_polars():
    run = from_polars(
        pl.DataFrame(
            {"step": [1, 2, 3], "loss": [3.0, NAN, 1.0], "val_loss": [None, 2.5, None], "note": ["a", "b", "c"]}
        )
    )
    assert (points(run)[0], len(run["loss"].finite), points(run, "val/loss")) == ((1, 3.0), 2, [(2, 2.5)])


def test_pandas_has_one_word_for_both():
    records = [{"step": s, "loss": 3.0 - s / 10} for s in range(8)] + [
        {"step": 8, "val_loss": 2.5},
        {"step": 9, "loss": NAN},
    ]
    run = from_pandas(pd.DataFrame(records))
    assert (run["loss"].steps.tolist(), len(run["loss"].finite), len(run["val/loss"])) == ([*range(8), 9], 8, 1)


def test_a_sparse_column_of_pandas_has_gaps():
    frame = pd.DataFrame({"step": range(6), "loss": [3.0, 2, NAN, 2, 1, 1], "val_loss": [NAN, NAN, NAN, 2.0, NAN, NAN]})
    run = from_pandas(frame)
    assert (len(run["loss"]), len(run["loss"].finite), points(run, "val/loss")) == (6, 5, [(3, 2.0)])


def test_evaluations_among_the_steps_make_no_nan():
    frame = pd.DataFrame({"step": range(6), "loss": [3.0, 2, NAN, 2, 1, 1], "val_loss": [NAN, NAN, 2.0, NAN, NAN, NAN]})
    assert points(from_pandas(frame))[:3] == [(0, 3.0), (1, 2.0), (3, 2.0)]


def test_the_index_may_be_the_step():
    frame = pd.DataFrame({"loss": [3.0, 2.0]}, index=pd.Index([10, 20], name="step"))
    assert points(from_pandas(frame)) == [(10, 3.0), (20, 2.0)]


def test_a_run_survives_its_own_frame():
    run = from_polars(pl.DataFrame({"step": [1, 2], "loss": [2.0, NAN], "val_loss": [None, 3.0]}))
    again = from_polars(run.to_polars())
    np.testing.assert_array_equal(again["loss"].values, run["loss"].values)
    assert points(again, "val/loss") == [(2, 3.0)]


def test_parquet_of_other_programs():
    buffer = io.BytesIO()
    pl.DataFrame({"_step": [0, 1], "train/loss": [3.0, 2.0], "many": [[1, 2], [3]]}).write_parquet(buffer)
    (run,) = runs_of(Source("a.parquet", content=buffer.getvalue()))
    assert (points(run), [s.count for s in run.skipped]) == ([(0, 3.0), (1, 2.0)], [2])


def test_several_runs_in_one_parquet_file():
    runs = [
        Run(
            name,
            {"loss": Series(np.array([1, 2]), np.array([3.0, last]))},
            segments=(Segment(1, 2, 0),),
            events=(Event("end", 2, "", {"status": "completed"}),),
        )
        for name, last in (("a", 2.0), ("b", NAN))
    ]
    found = runs_of(Source("a.parquet", content=parquet(runs)))
    assert [(run.name, run.complete, len(run["loss"].finite)) for run in found] == [("a", True, 2), ("b", True, 1)]


def test_a_damaged_parquet_file():
    with pytest.raises(UnreadableLog, match="as parquet"):
        runs_of(
            Source("a.parquet", content=parquet([Run("a", {"loss": Series(np.array([1]), np.array([3.0]))})])[:-20])
        )


BOMBS = {
    "rows": lambda: pl.DataFrame({"step": pl.Series([1]).new_from_index(0, 2_000_000)}),
    "cells": lambda: pl.DataFrame({f"m{k}": pl.Series([1.0]).new_from_index(0, 1_000_000) for k in range(68)}),
    "text": lambda: pl.DataFrame({"loss": [1.0] * 20_000, "note": ["x" * 10_000] * 20_000}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_becomes_large_is_refused(kind):
    buffer = io.BytesIO()
    BOMBS[kind]().write_parquet(buffer)
    assert len(buffer.getvalue()) < 600_000
    with pytest.raises(UnreadableLog, match="more than a log would"):
        read_source(Source("a.parquet", content=buffer.getvalue()))


def test_a_log_of_many_metrics_with_few_values_each_is_none():
    values = np.where(np.arange(100_000) % 100 == 0, 1.0, np.nan)
    frame = pl.DataFrame({"step": np.arange(100_000), **{f"m{k}": values for k in range(80)}}).fill_nan(None)
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    (raw,) = read_source(Source("a.parquet", content=buffer.getvalue()))
    assert len(raw.columns) == 81
