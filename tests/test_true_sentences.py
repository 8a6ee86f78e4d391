"""Every number in every sentence and in the evidence of every finding is one that its log bears out."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lmdiag import read_all
from lmdiag.figures import figure
from tests.truth.case import Case, cases
from tests.truth.evidence import untrue_evidence
from tests.truth.numbers import Number, numbers_in
from tests.truth.sentences import untrue

SAMPLES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "sample_logs").glob("*.jsonl"))}


@cache
def cases_of(path: Path) -> tuple[Case, ...]:
    return tuple(case for run in read_all(path) for case in cases(run))


def problems(case: Case) -> list[str]:
    sentences = (case.finding.message, *case.finding.advice)
    found = [*(problem for text in sentences for problem in untrue(case, text)), *untrue_evidence(case)]
    return [f"{case.finding.rule}: {problem}" for problem in found]


def case_of(sample: str, rule: str) -> Case:
    return next(case for case in cases_of(SAMPLES[sample]) if case.finding.rule == rule)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_number_said_of_a_sample_is_true(name):
    assert [problem for case in cases_of(SAMPLES[name]) for problem in problems(case)] == []


def test_every_number_said_of_a_real_log_is_true(real_logs):
    labels = [json.loads(line) for line in (real_logs / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    judged = [case for label in labels for run in read_all(real_logs / "logs" / label["id"]) for case in cases(run)]
    assert len(judged) > 50
    assert [f"{case.run.source}: {problem}" for case in judged for problem in problems(case)] == []


# What was said of such logs once, and what might be: each must be refused.
UNTRUE = [
    ("divergence", "divergence", "rose from a median of 4.678", "rose from a median of 6.04"),
    ("divergence", "divergence", "near step 7", "near step 70"),
    ("divergence", "divergence", "to one of 25.87", "to one of 35.87"),
    ("divergence", "divergence", "from step 14 on", "from step 25 on"),
    ("vanishing-gradient", "divergence", "a median of 2.743", "a median of 2.9"),
    ("loss-spike", "loss-spike", "jumped from 2.", "jumped from 3."),
    ("loss-spike", "loss-spike", "to 6.616 at step 180", "to 6.616 at step 181"),
    ("loss-spike", "loss-spike", "32 times its usual", "31 times its usual"),
    ("gradient-spike", "gradient-spike", "jumped to 71.3", "jumped to 73.1"),
    ("gradient-spike", "gradient-spike", "clipping at 1.0", "clipping at 10.0"),
    ("overfitting", "overfitting", "best at step 25", "best at step 50"),
    ("overfitting", "overfitting", "(3.279)", "(3.297)"),
    ("overfitting", "overfitting", "by 35.", "by 53."),
    ("not-learning", "not-learning", "and of 4.802", "and of 4.208"),
    ("plateau", "plateau", "88% of the run", "50% of the run"),
    ("zero-lr", "zero-lr", "is 0 from step 151 on (50%", "is 0 from step 151 on (60%"),
    ("masked-nan", "masked-nan", "in 80 of 200", "in 81 of 200"),
    ("masked-nan", "masked-nan", "first at step 121", "first at step 120"),
    ("non-finite-loss", "non-finite-loss", "after 2.871", "after 2.781"),
    ("truncated-run", "truncated-run", "(60%)", "(65%)"),
    ("truncated-run", "truncated-run", "planned 300", "planned 400"),
    ("clip-saturation", "clip-saturation", "the limit 0.01", "the limit 0.1"),
    ("memory-growth", "memory-growth", "342 MiB", "324 MiB"),
    ("data-starvation", "data-starvation", "3.5 times", "5.3 times"),
]


@pytest.mark.parametrize(("sample", "rule", "true", "false"), UNTRUE)
def test_an_altered_sentence_is_refused(sample, rule, true, false):
    case = case_of(sample, rule)
    assert true in case.finding.message
    assert list(untrue(case, case.finding.message)) == []
    assert list(untrue(case, case.finding.message.replace(true, false))) != []


@pytest.mark.parametrize(
    ("sample", "rule", "said"),
    [
        ("overfitting", "overfitting", "val/loss ends at 4.337."),
        ("overfitting", "overfitting", "It was 0.004 at step 9,999; try 0.002."),
        ("growing-oscillation", "growing-oscillation", "The loss starts at 5.624."),
        ("lr-too-high", "lr-too-high", "Lower the learning rate: it was 0.933 at step 2; try 1.9."),
        ("layer-imbalance", "gradient-spike", "Clip the gradient norm at 49, its 90th percentile before step 54."),
        ("few-evaluations", "few-evaluations", "Evaluate every 250 steps, on text that is not trained on."),
        ("not-learning", "not-learning", "The uniform guess over 103 tokens costs 5.63 nats."),
        ("slowdown", "slowdown", "12 minutes were lost."),
    ],
)
def test_a_sentence_that_the_log_refutes_is_refused(sample, rule, said):
    assert list(untrue(case_of(sample, rule), said)) != []


def altered(number: Number) -> Iterator[str]:
    """Yield a number a tenth larger, a tenth smaller, and twice as large; counts by one at least."""
    unit = "%" * number.written.endswith("%")
    value = float(number.written.rstrip("%").replace(",", ""))
    whole = value.is_integer() and "." not in number.written and "e" not in number.written
    for factor in (1.1, 0.9, 2):
        other = round(value * factor) + (round(value * factor) == value) if whole else value * factor
        yield (f"{other:,}" if whole else figure(other, 4)) + unit


def test_hardly_any_altered_number_passes():
    """A number may come true by chance, as another step with the same loss near it does."""
    passed, tried = [], 0
    for case in (case for path in SAMPLES.values() for case in cases_of(path)):
        told = case.finding.message
        for number in numbers_in(case.names.sub(lambda found: "#" * len(found[0]), told)):
            for other in altered(number):
                false = told[: number.start] + other + told[number.end :]
                tried += 1
                passed += [] if other == number.written or list(untrue(case, false)) else [false]
    assert tried > 1000
    assert len(passed) <= 0.01 * tried, passed


def test_evidence_that_the_log_refutes_is_refused():
    case = case_of("overfitting", "overfitting")
    false = Case(case.run, case.finding.__class__(**{**vars(case.finding), "evidence": {"best": 3.3, "luck": 1.0}}))
    assert list(untrue_evidence(false)) == ["best is not 3.3", "nobody knows what luck means"]
