"""What the charts say beyond the curve: forecast, scatter of evaluations, spikes that belong together, seeds."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag import charts
from lmdiag.charts.marks import link_records, spikes_together
from lmdiag.charts.view import View
from lmdiag.finding import Finding, Severity
from lmdiag.forecast import forecast
from lmdiag.run import Run, Series
from tests.charts.conftest import checked, table_of, values_of


@pytest.fixture
def half() -> Run:
    steps = np.arange(1, 1001)
    noise = 0.02 * np.random.default_rng(0).normal(size=1000)
    return Run("half", {"loss": Series(steps, 2 + 6 * (steps / 50) ** -0.5 + noise)}, config={"max_steps": 2000})


@pytest.mark.parametrize("loss_as", ["loss", "perplexity"])
def test_the_forecast_is_a_band_from_the_last_point_to_the_planned_end(half, loss_as):
    expected = forecast(half)
    spec = checked(charts.loss_chart(half, [], View(until=2000, loss_as=loss_as), None, expected))
    start, end = values_of(spec, "area")
    scale = np.exp if loss_as == "perplexity" else float
    assert (start["x"], end["x"]) == (1000, 2000)
    assert start["low"] == start["high"]
    assert [end[k] for k in ("low", "y", "high")] == pytest.approx(
        [scale(v) for v in (expected.low, expected.loss, expected.high)]
    )


def test_a_view_without_room_has_no_forecast(half):
    for view in (View(), View(steps=(1, 500), until=2000)):
        assert values_of(checked(charts.loss_chart(half, [], view, None, forecast(half))), "area") == []


def test_bars_show_how_far_one_evaluation_scatters(run):
    rng = np.random.default_rng(0)
    steps = np.arange(0, 2000, 50)
    noisy = replace(run, series={**run.series, "val/loss": Series(steps, 3 + 0.1 * rng.normal(size=40))})
    spec = checked(charts.loss_chart(noisy, [], View()))
    bars = [r for r in values_of(spec, "rule") if "sigma" in r]
    assert len(bars) == 40
    assert bars[0]["sigma"] == pytest.approx(0.1, rel=0.4)
    assert bars[0]["y2"] - bars[0]["y"] == pytest.approx(2 * bars[0]["sigma"])


def test_few_evaluations_have_no_bars(run):
    few = replace(run, series={**run.series, "val/loss": Series(np.array([1, 2, 3]), np.array([3.0, 4.0, 3.5]))})
    assert not [r for r in values_of(checked(charts.loss_chart(few, [], View())), "rule") if "sigma" in r]


def test_a_gradient_spike_and_a_loss_spike_near_it_are_linked_on_every_chart(run):
    found = [
        Finding("…", 1001, 1001, "loss", severity=Severity.WARNING, rule="loss-spike", steps=(300, 1001)),
        Finding("…", 999, 999, "grad_norm", severity=Severity.WARNING, rule="gradient-spike", steps=(700, 999)),
    ]
    assert spikes_together(found) == [(999, 1001)]
    for drawing in (
        charts.loss_chart(run, found, View()),
        charts.gradient_chart(run, found, View()),
        charts.lr_chart(run, found, View()),
    ):
        (link,) = [r for r in values_of(checked(drawing), "rule") if "gradient" in r]
        assert (link["gradient"], link["loss"]) == (999, 1001)
    assert link_records(run, found, View(steps=(1, 500))) == []


def test_every_dashed_line_says_what_it_is(run):
    stated = {"reference_loss": {"uniform": 3.02, "unigram": 3.01, "bigram": 2.0}}
    found = [
        Finding("…", 1001, 1001, "loss", severity=Severity.WARNING, rule="loss-spike"),
        Finding("…", 999, 999, "grad_norm", severity=Severity.WARNING, rule="gradient-spike"),
    ]
    spec = checked(charts.loss_chart(replace(run, config=stated), found, View(full_range=True)))
    words = [r["text"] for r in values_of(spec, "text")]
    assert "uniform guess 3.02, unigram 3.01" in words
    assert "gradient norm and loss jump together" in words


def test_a_click_on_a_row_of_the_timeline_names_its_finding(run, findings):
    spec = checked(charts.timeline_chart(run, findings, View(steps=(900, 1100))))
    (row,) = [r for r in values_of(spec, "bar") if "first" in r and "last" in r][-1:]
    assert findings[row["rank"]].rule == "loss-spike"


def test_groups_of_seeds_are_named_by_what_tells_them_apart():
    runs = {
        f"{lr} {seed}": Run("a", {}, config={"config": {"lr": lr, "seed": seed}}) for lr in (1, 2) for seed in (1, 2)
    }
    groups = charts.seed_groups(runs)
    assert {name: len(members) for name, members in groups.items()} == {"lr = 1": 2, "lr = 2": 2}
    assert list(charts.seed_groups({"a": Run("a", {}), "b": Run("b", {})})) == ["a", "b"]


def seeds(level: float, n: int = 3) -> list[Run]:
    steps = np.arange(1, 401)
    noise = [0.05 * np.random.default_rng(seed).normal(size=400) for seed in range(n)]
    return [Run(f"seed{i}", {"loss": Series(steps, level + 6 / (1 + steps / 20) + own)}) for i, own in enumerate(noise)]


def test_a_group_shows_its_median_and_where_the_scale_cuts_its_range():
    runs = seeds(2.0)
    runs[0]["loss"].values[300:] += 50.0
    spec = checked(charts.grouped_chart({"all": runs}, "loss", View()))
    assert max(row["high"] for row in table_of(spec, "bands0")) > 50
    assert max(row["y"] for row in table_of(spec, "raw0")) < 10
    assert [r for r in values_of(spec, "point") if r.get("t") == 0]
    assert "the range goes on" in [r["text"] for r in values_of(spec, "text")]


def test_differences_stand_in_the_range_of_chance_only_where_there_is_none():
    runs = {"base": seeds(2.0)[0], "alike": seeds(2.0)[1], "worse": seeds(2.3)[2]}
    spec = checked(charts.difference_chart(runs, "loss", View(half_life=20.0), "base"))
    high = table_of(spec, "bands0")[0]["high"]
    rows = [row for row in table_of(spec, "raw0") if row["x"] > 100]
    inside = [np.mean([abs(row["y"]) <= high for row in rows if row["t"] == t]) for t in range(3)]
    assert inside[0] == 1.0
    assert inside[1] > 0.85
    assert inside[2] == 0.0


def test_a_comparison_reads_out_every_run_at_the_same_place_of_the_axis():
    runs = {
        run.name: replace(
            run, series={**run.series, "tokens": Series(run["loss"].steps, run["loss"].steps * (i + 1.0))}
        )
        for i, run in enumerate(seeds(2.0))
    }
    view = View(axis="tokens", across=(100.0, 300.0))
    spec = checked(charts.compared_chart(runs, "loss", view, [charts.overlay_chart(runs, "loss", view, ["seed1"])]))
    row = table_of(spec, "cursor")[125]
    for i, run in enumerate(runs.values()):
        step = int(row["x"] / (i + 1.0))
        assert row[f"c{i + 1}"] == pytest.approx(run["loss"].values[step - 1], rel=1e-5)
    assert {row["t"] for row in table_of(spec, "raw0")} == {0, 1, 2}


def test_names_stand_at_the_ends_of_their_curves_and_never_on_one_another():
    runs = {run.name: run for i in range(8) for run in [replace(seeds(2.0 + i % 2 / 100)[0], name=f"run{i}")]}
    spec = checked(charts.compared_chart(runs, "loss", View(), [charts.overlay_chart(runs, "loss", View())]))
    heights = sorted(r["height"] for r in values_of(spec, "text") if "height" in r)
    assert len(heights) == 8
    assert np.diff(heights).min() * 320 > 11
    assert 0 <= heights[0] <= heights[-1] <= 1
