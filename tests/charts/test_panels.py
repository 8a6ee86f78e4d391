"""The panels of a run: what is drawn, what is marked, and what must never be dropped."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lmdiag import charts
from lmdiag.charts.perplexity import perplexity_axis
from lmdiag.charts.view import View
from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding, Severity
from lmdiag.run import Run, Series
from tests.charts.conftest import checked, table_of, values_of
from tests.rules.curves import healthy, levels, pairs, policy, series

HOSTILE = "<script>alert(1)</script> datum['x'] [a](b) \"';" + "x" * 500


@pytest.mark.parametrize("axis", ["step", "tokens", "relative"])
@pytest.mark.parametrize("loss_as", ["loss", "perplexity", "bits_per_byte"])
@pytest.mark.parametrize("dark", [False, True])
def test_every_view_is_a_valid_chart(run, findings, axis, loss_as, dark):
    view = View(axis=axis, loss_as=loss_as, half_life=10.0, dark=dark)
    checked(charts.loss_chart(run, findings, view, ("val/loss", 2000, 3.1)))
    checked(charts.gradient_chart(run, findings, view))
    checked(charts.lr_chart(run, findings, view))
    checked(charts.timeline_chart(run, findings, view))


def test_values_that_are_no_numbers_are_marked_on_the_axis(run, findings):
    spec = checked(charts.loss_chart(run, findings, View()))
    (lost,) = [r for r in values_of(spec, "point") if r.get("what") == "NaN"]
    assert (lost["step"], lost["count"]) == (1501, 20)
    gaps = [r for r in table_of(spec, "raw0") if r["y"] is None]
    assert len(gaps) == 1


def test_a_run_of_nothing_but_nan_still_shows_where_it_was():
    run = Run("lost", {"loss": Series(np.arange(5), np.full(5, np.nan))})
    spec = checked(charts.loss_chart(run, [], View(half_life=1.0)))
    assert [r["count"] for r in values_of(spec, "point") if "count" in r] == [5]


def test_an_outlier_beyond_the_scale_is_marked_at_its_edge(run):
    values = run["loss"].values.copy()
    values[700] = 1e9
    wild = replace(run, series={**run.series, "loss": Series(run["loss"].steps, values)})
    spec = checked(charts.loss_chart(wild, [], View()))
    (outside,) = [r for r in values_of(spec, "point") if r.get("edge")]
    assert (outside["step"], outside["y"], outside["edge"]) == (701, 1e9, "above")
    full = checked(charts.loss_chart(wild, [], View(full_range=True)))
    assert not [r for r in values_of(full, "point") if r.get("edge")]


def test_perplexity_is_the_exponential_of_the_loss_and_of_its_mean(run):
    loss = checked(charts.loss_chart(run, [], View(half_life=50.0)))
    perplexity = checked(charts.loss_chart(run, [], View(half_life=50.0, loss_as="perplexity")))
    for name in ("raw0", "smooth0"):
        first = table_of(loss, name)[0], table_of(perplexity, name)[0]
        assert math.exp(first[0]["y"]) == pytest.approx(first[1]["y"], rel=1e-4)


def test_a_loss_too_large_for_a_perplexity_draws_all_the_same():
    run = Run("hot", {"loss": Series(np.arange(30), np.linspace(5, 5000, 30))})
    checked(charts.loss_chart(run, [], View(loss_as="perplexity")))
    checked(charts.loss_chart(run, [], View()))


def test_findings_stand_on_the_curve_with_shape_and_colour(run, findings):
    spec = checked(charts.loss_chart(run, findings, View()))
    (spike,) = [r for r in values_of(spec, "point") if r.get("rule") == "loss-spike"]
    assert (spike["step"], spike["y"]) == (1001, 8.0)
    assert [r["rule"] for r in values_of(spec, "rect")] == ["non-finite-loss"]


def test_what_is_shown_is_counted(run):
    long = Run("long", {"loss": Series(np.arange(50_000), np.random.default_rng(0).random(50_000))})
    drawing = charts.loss_chart(long, [], View(half_life=100.0))
    checked(drawing)
    assert drawing.note.endswith("of 50,000 points")
    assert charts.lr_chart(replace(run, series={"lr": Series(np.arange(9), np.ones(9))}), [], View()).note == ""


def test_zooming_in_shows_the_points_that_were_thinned_out():
    long = Run("long", {"loss": Series(np.arange(50_000), np.random.default_rng(0).random(50_000))})
    spec = checked(charts.loss_chart(long, [], View(steps=(100, 199))))
    assert [r["x"] for r in table_of(spec, "raw0")] == list(range(100, 200))


def test_the_clip_level_is_a_line(run):
    spec = checked(charts.gradient_chart(run, [], View()))
    assert [(r["y"], r["words"]) for r in values_of(spec, "rule") if "words" in r] == [(1.0, "clipped at 1")]
    assert "clipped at 1" in words_above(spec)


def test_gradient_norms_of_zero_are_marked_below_the_log_scale():
    norms = np.ones(50)
    norms[10] = 0.0
    run = Run("dead", {"grad_norm": Series(np.arange(50), norms)})
    spec = checked(charts.gradient_chart(run, [], View(half_life=5.0)))
    assert [(r["step"], r["edge"]) for r in values_of(spec, "point") if r.get("edge")] == [(10, "below")]


@pytest.mark.parametrize("n", [50, 20_000])
def test_no_line_crosses_gradient_norms_of_zero(n):
    norms, steps = np.exp(0.1 * np.random.default_rng(0).normal(size=n)), np.arange(n)
    dead = slice(n // 5, 2 * n // 5)
    norms[dead] = 0.0
    run = Run("dead", {"grad_norm": Series(steps, norms)})
    finding = Finding("…", n // 5, n // 2, "grad_norm", severity=Severity.WARNING, rule="vanishing-gradient")
    spec = checked(charts.gradient_chart(run, [finding], View(half_life=n / 50)))
    for line in (table_of(spec, "raw0"), table_of(spec, "smooth0")):
        assert all(r["y"] is None or r["y"] > 0 for r in line)
        assert sum(r["y"] is None for r in line) == 1
        assert not [r for r in line if r["y"] is not None and dead.start <= r["x"] < dead.stop]
    marked = [r for r in values_of(spec, "point") if r.get("edge") == "below"]
    assert marked
    assert all(dead.start <= r["step"] < dead.stop for r in marked)
    assert not [r for r in values_of(spec, "point") if r.get("rule")]


@pytest.mark.parametrize("level", [0.0, 1e-17, 1e-320, 5e-16])
def test_a_constant_loss_as_good_as_zero_draws(level):
    run = Run("zero", {"loss": Series(np.arange(50), np.full(50, level))})
    checked(charts.loss_chart(run, [], View()))


def test_names_from_a_log_are_only_ever_data():
    series = Series(np.arange(20), np.linspace(3, 2, 20))
    run = Run(HOSTILE, {"loss": series, f"{HOSTILE}/loss": series, HOSTILE: series}, step_kind=HOSTILE)
    finding = Finding(HOSTILE, 3, 9, "loss", severity=Severity.ERROR, rule=HOSTILE)
    for drawing in (
        charts.loss_chart(run, [finding], View()),
        charts.series_chart(run, HOSTILE, [], View()),
        charts.timeline_chart(run, [finding], View()),
    ):
        spec = checked(drawing)
        assert not [expression for expression in expressions(spec) if "script" in expression]


def words_above(spec: dict) -> list[str]:
    """The words above the panels, which explain curves and marks."""
    return [r["text"] for r in values_of(spec, "text") if "along" in r]


def expressions(spec: object) -> list[str]:
    """Every piece of a specification that Vega evaluates as code, and every field name."""
    found: list[str] = []
    if isinstance(spec, dict):
        found += [str(spec[k]) for k in ("labelExpr", "filter", "calculate", "expr", "field", "format") if k in spec]
        for key, inner in spec.items():
            found += expressions(inner) if key != "values" else []
    elif isinstance(spec, list):
        for inner in spec:
            found += expressions(inner)
    return found


def test_a_log_without_the_metric_draws_nothing():
    empty = Run("empty", {})
    assert charts.loss_chart(empty, [], View()) is None
    assert charts.gradient_chart(empty, [], View()) is None
    assert charts.timeline_chart(empty, [], View()) is None


def test_one_single_point_draws():
    run = Run("one", {"loss": Series(np.array([7]), np.array([2.5]))})
    checked(charts.loss_chart(run, [], View(half_life=3.0)))


def test_the_scores_of_a_classifier_share_a_chart():
    steps = np.array([10, 20, 30])
    evaluations = {f"val/{name}": Series(steps, np.array([0.3, level, level])) for name, level in SCORES.items()}
    training = {"loss": Series(np.arange(30), np.linspace(1.4, 1.0, 30))}
    drawing = charts.scores_chart(Run("a", training | evaluations), [], View(half_life=5.0))
    checked(drawing)
    assert drawing.metrics == tuple(evaluations)
    assert "val/recall from 0.3 to 0.49, between 0.3 and 0.49" in drawing.alt
    assert charts.scores_chart(Run("b", training), [], View()) is None


SCORES = {"accuracy": 0.5, "f1": 0.4, "recall": 0.49, "auc": 0.75}


def test_a_method_has_panels_of_what_it_measures_with_its_findings():
    made = policy(val__reward=series(np.linspace(0.2, 0.6, 5), every=20), kl=levels((0.1, 50), (6.0, 50)))
    found = [f for f in diagnose(made).findings if f.metric == "kl"]
    drawn = charts.method_charts(made, found, View())
    assert list(drawn) == ["reward", "reward spread", "KL (nats)", "entropy (nats)", "length (tokens)", "shares"]
    assert drawn["reward"].metrics == ("reward", "val/reward")
    assert "Marked: kl-explosion." in drawn["KL (nats)"].alt
    assert list(charts.method_charts(pairs(), (), View())) == ["margin", "pair accuracy", "log-prob. (nats)"]
    assert charts.method_charts(healthy(), (), View()) == {}


@pytest.mark.parametrize(("made", "title"), [(policy(), "loss"), (pairs(), "loss"), (healthy(), "loss (nats/token)")])
def test_only_the_loss_of_a_language_model_is_in_nats_per_token(made, title):
    assert charts.loss_chart(made, (), View()).alt.startswith(f"{title} over steps")


def test_no_two_of_many_runs_look_alike():
    runs = {f"run{i}": Run(f"run{i}", {"loss": series(np.linspace(5, 2 + i / 10, 30))}) for i in range(24)}
    spec = checked(charts.overlay_chart(runs, "loss", View()))
    channels = next(one["encoding"] for one in spec["layer"][0]["layer"] if "strokeDash" in one["encoding"])
    looks = list(zip(channels["color"]["scale"]["range"], map(tuple, channels["strokeDash"]["scale"]["range"])))
    assert len(set(looks)) == len(looks) == 24
    assert set(runs) <= set(words_above(spec))


def test_a_stack_reads_out_every_curve_at_the_pointer(run, findings):
    view = View(half_life=10.0)
    drawings = [
        charts.timeline_chart(run, findings, view),
        charts.loss_chart(run, findings, view),
        charts.gradient_chart(run, findings, view),
        charts.lr_chart(run, findings, view),
    ]
    spec = checked(charts.stack_chart(run, drawings, view))
    names = [r["text"] for r in values_of(spec, "text") if "signed" in r]
    assert names == ["step", "tokens", "loss", "smooth", "perplexity", "val/loss", "norm", "lr"]
    row = next(r for r in table_of(spec, "cursor") if r["c0"] == 1001)
    assert [row["x"], row["c1"], row["c2"], row["c7"]] == [1001, 1001 * 4096, 8.0, 1e-3]
    assert row["c5"] == pytest.approx(3.1 + 6 * np.exp(-5), rel=1e-5)
    assert not [e for e in expressions(spec) if "val/loss" in e]


@pytest.mark.parametrize(("low", "high"), [(-4.0, 9.0), (2.0, 212.0)])
def test_a_perplexity_axis_begins_at_one_and_ends_at_a_million(low, high):
    ticks = perplexity_axis((low, high))["values"]
    assert min(ticks) >= 0.0
    assert max(ticks) <= math.log(1e6) + 1e-9


def test_the_finding_that_is_looked_at_has_its_level_and_its_stretch_on_the_charts(run):
    finding = Finding("…", 500, 900, "loss", {"level_before": 3.5}, severity=Severity.ERROR, rule="plateau")
    view = View(marked=finding)
    drawings = [charts.loss_chart(run, [finding], view), charts.gradient_chart(run, [finding], view)]
    assert "level before 3.5" in ", ".join(words_above(drawings[0].spec))
    assert "level before" not in ", ".join(words_above(drawings[1].spec))
    spec = checked(charts.stack_chart(run, drawings, view))
    assert {"x": 500.0, "x2": 900.0} in values_of(spec, "rect")
