"""Charts as pictures, and the exact data behind them."""

import io

import numpy as np
import polars as pl
import pytest

from lmdiag import charts
from lmdiag.app import downloads
from lmdiag.charts.data import as_csv, as_parquet
from lmdiag.charts.view import View
from lmdiag.run import Run, Series

STEPS = np.arange(1, 100_001)


@pytest.fixture(scope="module")
def run() -> Run:
    loss = Series(STEPS, 2 + 1 / STEPS)
    return Run(
        "a",
        {"loss": loss, "val/loss": Series(STEPS[::1000], loss.values[::1000]), "tokens": Series(STEPS, STEPS * 8.0)},
    )


@pytest.mark.parametrize("dark", [False, True])
def test_a_chart_becomes_a_picture_on_the_background_of_its_theme(run, dark):
    drawing = charts.loss_chart(run, [], View(dark=dark))
    text = downloads.as_svg(drawing, dark).decode()
    assert text.startswith("<svg")
    assert ("#0E1117" in text) == dark
    assert downloads.as_png(drawing, dark).startswith(b"\x89PNG")


def test_a_picture_says_of_which_run_it_is_and_what_its_axes_are(run):
    drawings = [
        charts.loss_chart(run, [], View(axis="tokens")),
        charts.series_chart(run, "tokens", [], View(axis="tokens")),
    ]
    picture = downloads.titled(drawings, "my run <1>", View(axis="tokens"))
    text = downloads.as_svg(picture, False).decode()
    for words in ("my run &lt;1&gt;", ">loss (nats/token)<", ">tokens (tokens)<", ">tokens<"):
        assert words in text


def test_the_data_is_every_value_in_view_with_every_digit(run):
    drawing = charts.loss_chart(run, [], View())
    assert drawing.metrics == ("loss", "val/loss")
    view = View(axis="tokens", steps=(50, 60_000))
    table = pl.read_csv(io.BytesIO(as_csv({"a": run}, drawing.metrics, view)), infer_schema_length=None)
    assert table.columns == ["run", "step", "tokens", "loss", "val/loss"]
    assert table["loss"].to_list() == (2 + 1 / STEPS[49:60_000]).tolist()
    assert table["tokens"].to_list() == (STEPS[49:60_000] * 8.0).tolist()
    assert table["val/loss"].count() == 59
    assert pl.read_parquet(io.BytesIO(as_parquet({"a": run}, drawing.metrics, view))).equals(table)


def test_the_runs_of_a_comparison_stand_in_one_table(run):
    table = charts.data.table({"a": run, "b": Run("b", {"loss": Series(STEPS[:3], np.ones(3))})}, ["loss"], View())
    assert dict(table.group_by("run").len().rows()) == {"a": 100_000, "b": 3}


@pytest.mark.parametrize("axis", ["step", "tokens"])
@pytest.mark.parametrize("metric", ["run", "step", "tokens"])
def test_a_metric_may_be_called_like_a_column(metric, axis):
    steps = np.arange(1, 4)
    run = Run("a", {name: Series(steps, steps / 2) for name in ("loss", "tokens", metric)})
    table = charts.data.table({"a": run}, ["loss", metric], View(axis=axis))
    assert table["step"].to_list() == [1, 2, 3]
    assert table[metric if metric == "tokens" != axis else f"{metric} (metric)"].to_list() == [0.5, 1.0, 1.5]


def test_no_text_of_the_csv_is_a_formula():
    steps = np.arange(1, 3)
    run = Run("=1", {"=cmd|'/c x'!A1": Series(steps, -steps / 2), "+a": Series(steps, steps * 1.0)})
    lines = as_csv({"=HYPERLINK(0)": run, "-b": run, "c=d": run}, list(run.series), View()).decode().splitlines()
    assert lines[0] == "run,step,'=cmd|'/c x'!A1,'+a"
    assert lines[1::2] == ["'=HYPERLINK(0),1,-0.5,1.0", "'-b,1,-0.5,1.0", "c=d,1,-0.5,1.0"]
