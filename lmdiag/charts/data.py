"""The data behind charts: every value that was logged in view, as a table and as the bytes of a file."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lmdiag.charts.view import View, positions
from lmdiag.run import Run

if TYPE_CHECKING:
    import polars

FORMULA = r"^[=+\-@\t\r]"


def table(runs: Mapping[str, Run], metrics: Sequence[str], view: View) -> polars.DataFrame:
    """Return one row per run and step in view, one column per metric, and the x axis where it is not the step.

    A metric that is called like one of the first columns has `(metric)` behind its name.

    >>> import numpy as np
    >>> from lmdiag.run import Series
    >>> run = Run("a", {"loss": Series(np.array([1, 2, 3]), np.array([3.0, 2.0, 1.0]))})
    >>> table({"a": run}, ["loss"], View(steps=(2, 3))).rows()
    [('a', 2, 2.0), ('a', 3, 1.0)]
    """
    import polars as pl

    parts = []
    for name, run in runs.items():
        having = {
            f"{metric} (metric)" if metric in ("run", "step", view.axis) else metric: view.cut(run[metric])
            for metric in metrics
            if metric in run
        }
        part = replace(run, series=having).to_polars()
        if view.axis != "step":
            part.insert_column(1, pl.Series(view.axis, positions(run, view.axis, part["step"].to_numpy())))
        parts.append(part.select(pl.lit(name).alias("run"), pl.all()))
    return pl.concat(parts, how="diagonal") if parts else pl.DataFrame()


def as_csv(runs: Mapping[str, Run], metrics: Sequence[str], view: View) -> bytes:
    """Return the table as CSV, with every digit; a text that a spreadsheet would take for a formula begins with `'`."""
    import polars as pl

    found = table(runs, metrics, view).with_columns(pl.col(pl.String).str.replace(FORMULA, "'$0"))
    return found.rename(lambda name: re.sub(FORMULA, r"'\g<0>", name)).write_csv().encode()


def as_parquet(runs: Mapping[str, Run], metrics: Sequence[str], view: View) -> bytes:
    """Return the table as a parquet file."""
    file = io.BytesIO()
    table(runs, metrics, view).write_parquet(file)
    return file.getvalue()
