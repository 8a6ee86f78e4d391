"""What every rule must do, whatever it looks for."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.diagnose import diagnose
from lmdiag.finding import FAMILIES, NEEDS, Finding, Severity
from lmdiag.metrics import METRICS
from lmdiag.rules import RULES
from lmdiag.run import Run, Series
from tests.rules.curves import healthy, run

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


def of_length(length: int, value: float = 1.0) -> Run:
    flat = Series(np.arange(1, length + 1), np.full(length, value))
    return Run("short", dict.fromkeys(EVERY_METRIC, flat))


def said(rule, made: Run) -> list:
    return [] if rule.missing(made) else [f for f in rule.look(made) if isinstance(f, Finding)]


def test_every_rule_file_is_listed_once():
    files = sorted(p.stem.replace("_", "-") for p in FOLDER.glob("*/*.py") if p.stem != "__init__")
    assert files == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
class TestEveryRule:
    def test_has_a_complete_page(self, rule):
        assert [h for h in HEADINGS if h not in rule.page] == []
        assert rule.page.splitlines()[0].endswith(".")

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


def test_a_log_that_is_too_short_is_told_so_in_grammar():
    refused = {said.rule: said.why for said in diagnose(run(loss=[3.0], val__loss=[3.0])).not_checked}
    assert refused["divergence"] == "only 1 value of the loss, 6 needed"
    assert refused["overfitting"] == "only 1 value of the evaluation loss, 3 needed"


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
