"""What every rule must do, whatever it looks for."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from lmdiag.diagnose import FAILED, diagnose
from lmdiag.finding import (
    BEGINS_LATER,
    FAMILIES,
    NEEDS,
    NO_NORM,
    NO_RATE,
    NO_SCALE,
    NO_STEP_TIME,
    NOT_FROM_SCRATCH,
    NOT_POSITIVE,
    NOT_TEXT,
    WARMING_UP,
    Finding,
    NotChecked,
    Severity,
)
from lmdiag.metrics import METRICS
from lmdiag.rules import RULES, written
from lmdiag.run import Run, Series
from tests.rules.curves import falling, healthy, pairs, policy, run, series

HEADINGS = (
    "## What it looks for",
    "## How it decides",
    "## Why it matters",
    "## False alarms it avoids",
    "## What to try",
    "## References",
)
FOLDER = Path(__file__).parents[2] / "lmdiag/rules"
EVERY_METRIC = [*METRICS, "val/loss", "val/accuracy", "layers/h.0/grad_norm", "layers/h.1/grad_norm"]


# Rules that are shown values that are not finite as well, or that can see their fault in fewer values than the log must hold.
LOOK_AT_FEWER = {"missing-loss", "few-evaluations", "step-gap", "loss-spike"}


def of_values(values: np.ndarray) -> Run:
    return Run("made", dict.fromkeys(EVERY_METRIC, series(values)))


def of_length(length: int) -> Run:
    return of_values(np.ones(length))


def said(rule, made: Run) -> list:
    return [] if rule.missing(made) else [f for f in rule.look(made) if isinstance(f, Finding)]


def refusals(rule, made: Run) -> list:
    return [] if rule.missing(made) else [f for f in rule.look(made) if isinstance(f, NotChecked)]


def test_every_rule_file_is_listed_once():
    files = sorted(p.stem.replace("_", "-") for p in FOLDER.glob("*/*.py") if p.stem != "__init__")
    assert files == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
class TestEveryRule:
    def test_has_a_complete_page(self, rule):
        assert [h for h in HEADINGS if h not in rule.page] == []
        assert rule.page.splitlines()[0].endswith(".")

    def test_is_known_as_its_file_declares_it(self, rule):
        """Where it is not, `make docs` writes `lmdiag/rules/declared.py` anew."""
        assert structs.replace(written(rule.name), own=None) == structs.replace(rule, own=None)

    def test_lives_in_the_folder_of_its_family(self, rule):
        assert rule.family in FAMILIES
        assert (FOLDER / rule.family / f"{rule.name.replace('-', '_')}.py").exists()

    def test_needs_known_inputs(self, rule):
        assert rule.needs
        assert set(rule.needs) <= set(METRICS) | set(NEEDS) | {"val/loss"}

    def test_takes_the_run_what_it_needs_and_settings(self, rule):
        taken = inspect.signature(rule.check).parameters.values()
        assert [p.kind is p.KEYWORD_ONLY for p in taken] == [False] * (1 + len(rule.needs)) + [True] * len(
            rule.settings
        )

    @pytest.mark.parametrize("length", [0, 1, 2])
    def test_says_nothing_about_a_run_too_short_to_judge(self, rule, length):
        assert [f for f in said(rule, of_length(length)) if f.alarms] == []

    def test_says_nothing_about_healthy_runs(self, rule):
        for seed in range(8):
            for length in (30, 100, 1000):
                found = [f for f in said(rule, healthy(length, seed)) if (f.severity or rule.severity) > Severity.INFO]
                assert found == [], (seed, length)

    def test_says_nothing_about_healthy_policies(self, rule):
        for seed in range(6):
            for made in (policy(30, seed), policy(200, seed), pairs(30, seed), pairs(200, seed)):
                found = [f for f in said(rule, made) if (f.severity or rule.severity) > Severity.INFO]
                assert found == [], (seed, found)

    @pytest.mark.parametrize("length", [0, 1, 2, 4])
    def test_says_nothing_about_policies_too_short_to_judge(self, rule, length):
        for made in (policy(length), pairs(length)):
            assert [f for f in said(rule, made) if (f.severity or rule.severity) > Severity.INFO] == []

    def test_is_pure(self, rule):
        made = healthy(300)
        assert said(rule, made) == said(rule, made)

    def test_does_not_change_its_run(self, rule):
        made = healthy(300)
        before = {name: s.values.copy() for name, s in made.series.items()}
        said(rule, made)
        assert all(np.array_equal(before[name], s.values) for name, s in made.series.items())

    def test_finds_nothing_in_an_empty_run(self, rule):
        assert said(rule, Run("empty", {})) == []

    @pytest.mark.parametrize("shown", range(13))
    def test_tells_of_too_few_finite_values(self, rule, shown):
        made = of_values(np.r_[np.linspace(9, 8, shown), np.full(2000, np.nan)])
        if shown < rule.min_points and rule.min_points > 1 and rule.name not in LOOK_AT_FEWER:
            assert rule.missing(made) or list(rule.look(made))

    def test_refuses_only_where_it_finds_nothing(self, rule):
        rising = [of_values(np.geomspace(1, 9, length)) for length in (*range(1, 13), 60)]
        for made in (healthy(30), healthy(1000), of_length(40), of_values(np.zeros(400)), *rising):
            assert not (said(rule, made) and refusals(rule, made))


@pytest.mark.parametrize(
    ("metric", "values", "refusal", "rules"),
    [
        ("grad_norm", np.zeros(400), NO_NORM, {"vanishing-gradient", "gradient-spike", "rising-instability"}),
        ("lr", np.zeros(400), NO_RATE, {"lr-jump", "lr-too-high", "lr-too-low", "early-instability"}),
        ("step_time_s", np.arange(1.0, 401.0), NO_STEP_TIME, {"slowdown", "periodic-stall"}),
        ("loss_scale", np.full(400, 0.5), NO_SCALE, {"loss-scale-collapse"}),
        ("val/loss", np.linspace(-1, -3, 400), NOT_POSITIVE, {"overfitting", "converged-early"}),
    ],
)
def test_values_that_cannot_be_what_their_name_says(metric, values, refusal, rules):
    made = diagnose(run(**{"loss": falling(400), metric.replace("/", "__"): values}))
    assert rules <= {said.rule for said in made.not_checked if said.why == refusal.why}


def test_exemptions_are_told():
    def why(made: Run, rule: str) -> str:
        return next((said.why for said in diagnose(made).not_checked if said.rule == rule), "")

    late = run(loss=falling(400), lr=np.ones(400), first=9000)
    for rule in ("plateau", "stalled", "still-improving", "wrong-loss-scale", "lr-too-low"):
        assert why(late, rule) == BEGINS_LATER.why, rule
    warming = run(loss=falling(400), lr=np.linspace(0, 1e-3, 400))
    assert why(warming, "early-instability") == WARMING_UP.why
    assert why(run(loss=falling(400, start=2.5, floor=1.5)), "plateau") == NOT_FROM_SCRATCH.why
    assert why(run(loss=falling(400), objective="classification"), "worse-than-reference") == NOT_TEXT.why
    assert why(run(loss=falling(400)), "worse-than-reference").startswith("the log states neither")
    once = run(loss=falling(40), val__loss=series([3.0, 2.5, 2.6]))
    assert why(once, "overfitting") == "only 1 evaluation since the best one, 2 needed"


def test_a_log_that_is_too_short_is_told_so_in_grammar():
    refused = {said.rule: said.why for said in diagnose(run(loss=[3.0], val__loss=[3.0])).not_checked}
    assert refused["divergence"] == "only 1 value of the loss, 2 needed"
    assert refused["overfitting"] == "only 1 finite evaluation, 3 needed"


@given(
    st.lists(
        st.floats(allow_nan=True, allow_infinity=True, width=32) | st.sampled_from([0.0, 10.4, 2.5]),
        min_size=0,
        max_size=120,
    ),
    st.sampled_from(["loss", "grad_norm", "lr", "val/loss"]),
)
@settings(max_examples=150)
def test_no_rule_stumbles_over_any_values(values, metric):
    made = healthy(120)
    broken = Run("any", {**made.series, metric: Series(np.arange(1, len(values) + 1), np.array(values, float))})
    for finding in diagnose(broken).findings:
        assert finding.first_step <= finding.last_step, finding
        assert all(isinstance(v, (int, float)) for v in finding.evidence.values()), finding


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32) | st.sampled_from([0.0, 1.0]), max_size=60),
    st.sampled_from([*policy(9).series, *pairs(9).series]),
)
@settings(max_examples=150)
def test_no_rule_stumbles_over_any_values_of_a_policy(values, metric):
    for made in (policy(60), pairs(60)):
        broken = replace(
            made, series={**made.series, metric: Series(np.arange(1, len(values) + 1), np.array(values, float))}
        )
        diagnosis = diagnose(broken)
        assert [said for said in diagnosis.not_checked if FAILED in said.why] == []
        assert all(f.first_step <= f.last_step for f in diagnosis.findings)


@given(st.integers(2, 1000))
@settings(max_examples=20)
def test_what_is_found_does_not_depend_on_how_far_steps_are_apart(spacing):
    loss = np.concatenate([healthy(300)["loss"].values, np.linspace(3.2, 6, 100)])
    near, far = diagnose(run(loss=loss)), diagnose(run(loss=loss, every=spacing, first=spacing))
    assert [f.rule for f in near.findings] == [f.rule for f in far.findings]


def test_false_alarms_do_not_grow_with_the_length_of_the_log():
    for length in (50, 500, 5_000, 50_000):
        alarmed = [seed for seed in range(6) if diagnose(healthy(length, seed)).verdict != "healthy"]
        assert alarmed == [], length
