"""The perplexity of a run is that of its evaluation, else of many training losses, and there is none where exp of the loss is none."""

import numpy as np
import pytest

from lmdiag import read
from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding
from lmdiag.perplexity import perplexity_of
from lmdiag.reports import render
from lmdiag.reports.json import run_entry
from lmdiag.reports.phrases import perplexity
from lmdiag.reports.report import Report
from lmdiag.run import Series
from tests.rules.curves import run


def evaluations(*losses):
    return Series(np.arange(1, len(losses) + 1) * 10, np.array(losses, float))


def test_the_last_and_the_best_evaluation_count():
    found = perplexity_of(run(loss=np.linspace(5, 1, 100), **{"val/loss": evaluations(4.0, 3.0, 3.5)}))
    assert (found.metric, found.step, found.records, found.name) == ("val/loss", 30, 1, "perplexity")
    assert np.log([found.last, found.best]) == pytest.approx([3.5, 3.0])


def test_without_an_evaluation_the_median_of_the_last_tenth_counts():
    losses = np.full(100, 3.0)
    losses[[50, 99]] = 0.5, 9.0  # one lucky batch, and one that is not
    found = perplexity_of(run(loss=losses))
    assert (found.metric, found.records) == ("loss", 10)
    assert np.log([found.last, found.best]) == pytest.approx([3.0, 3.0])


def test_a_masked_model_has_a_pseudo_perplexity():
    assert perplexity_of(run(loss=np.full(20, 3.0), objective="masked-lm")).name == "pseudo-perplexity"


def test_a_loss_that_ends_as_nan_has_no_perplexity_at_the_end():
    found = perplexity_of(run(loss=np.r_[np.full(20, 3.0), np.nan]))
    assert np.isnan(found.last)
    assert np.log(found.best) == pytest.approx(3.0)


@pytest.mark.parametrize("objective", ["classification", "reinforcement", "composite"])
def test_what_is_no_language_model_has_none(objective):
    assert perplexity_of(run(loss=np.full(20, 3.0), objective=objective)) is None


@pytest.mark.parametrize("metric", ["mean_reward", "val/cosine_accuracy", "eval/margin", "wer"])
def test_what_logs_the_measures_of_something_else_has_none(metric):
    assert perplexity_of(run(loss=np.full(20, 0.6), **{metric: np.full(20, 0.1)})) is None


@pytest.mark.parametrize(
    "losses",
    [
        np.zeros(20),
        np.linspace(1.0, -1.0, 20),
        np.linspace(106.0, 42.0, 20),  # summed over the sequence
        300 / np.arange(1, 31),  # summed over an epoch, and mostly above what any token costs
        np.linspace(0.0081, 0.0032, 20),  # divided once too often
        np.r_[np.full(20, 3.0), np.zeros(10)],  # zeros in the place of NaN
        np.full(20, np.nan),
    ],
)
def test_a_loss_that_is_zero_negative_summed_masked_or_nan_has_none(losses):
    assert perplexity_of(run(loss=losses)) is None


def test_a_loss_summed_by_its_header_has_none():
    assert perplexity_of(run(loss=np.full(20, 3.0), config={"loss_reduction": "sum"})) is None


def test_a_wrong_scale_of_the_training_loss_leaves_the_evaluation():
    evidence = {"first_loss": 12.0, "uniform": 4.6, "ratio": 2.6, "end": 8.0}
    wrong = Finding("…", 1, 20, evidence=evidence, rule="wrong-loss-scale")
    assert perplexity_of(run(loss=np.full(20, 8.0)), [wrong]) is None
    beside = run(loss=np.full(20, 8.0), **{"val/loss": evaluations(2.0, 2.0)})
    assert perplexity_of(beside, [wrong]).metric == "val/loss"


@pytest.mark.parametrize("metric", ["loss", "val/loss"])
def test_a_loss_that_its_accuracy_refutes_has_none(metric):
    wrong = Finding("…", 1, 20, metric, rule="accuracy-mismatch")
    assert perplexity_of(run(**{metric: np.full(20, 0.3)}), [wrong]) is None


def test_a_loss_that_rose_in_its_first_steps_and_learned_keeps_its_perplexity():
    evidence = {"first_loss": 12.0, "uniform": 9.0, "ratio": 1.3, "end": 3.0}
    rose = Finding("…", 1, 20, evidence=evidence, rule="wrong-loss-scale")
    assert perplexity_of(run(loss=np.full(20, 3.0)), [rose]).metric == "loss"


def test_it_is_told_with_its_unit_and_what_it_is_of():
    told = perplexity(diagnose(read("sample_logs/healthy-transformer.jsonl")))
    assert told[0] == "perplexity per token"
    assert "(val/loss at step " in told[1]
    assert perplexity(diagnose(run(loss=np.full(100, 3.0)), ()))[1:] == (
        "20.09 (median of the last 10 training losses)",
        "",
    )
    diverged = diagnose(run(loss=np.full(100, 3.0), **{"val/loss": evaluations(3.0, 40.0)}), ())
    assert perplexity(diverged)[1] == "over 1,000,000 (val/loss at step 20)"


@pytest.mark.parametrize("shape", ["text", "markdown", "html"])
def test_every_report_tells_it(shape):
    said = render(Report((diagnose(read("sample_logs/overfitting.jsonl")),)), shape)
    assert "perplexity per token" in said.lower()


def test_json_says_what_it_is_of():
    summary = run_entry(diagnose(read("sample_logs/healthy-bert-mlm.jsonl")))["summary"]
    of = {"kind": "pseudo-perplexity", "unit": "token", "of": "val/loss", "step": 700, "records": 1}
    assert {**summary["perplexity"], **of} == summary["perplexity"]
    assert run_entry(diagnose(read("sample_logs/zero-loss.jsonl")))["summary"]["perplexity"]["of"] == "val/loss"


def answering(first: float, right: float, **more):
    """A run whose loss begins at some nats beside an accuracy, as of a model that answers among a few."""
    return run(loss=np.linspace(first, first / 3, 60), accuracy=np.linspace(right, 0.9, 60), **more)


@pytest.mark.parametrize(("first", "right"), [(0.74, 0.5), (0.69, 0.62), (1.59, 0.28), (2.18, 0.14)])
def test_a_model_that_answers_among_a_few_has_none(first, right):
    assert perplexity_of(answering(first, right)) is None


@pytest.mark.parametrize("name", ["val/f1", "val/macro_precision", "test/auc", "val/matthews_correlation"])
def test_nor_has_one_that_is_measured_by_its_answers(name):
    assert perplexity_of(run(loss=np.full(20, 1.9), **{name: np.full(20, 0.8)})) is None


def test_an_accuracy_of_tokens_leaves_it():
    assert perplexity_of(answering(1.9, 0.57)) is not None
    tokens = Series(np.arange(1, 61), np.linspace(0.7, 0.8, 60), source_name="mean_token_accuracy")
    assert perplexity_of(run(loss=np.linspace(1.1, 0.9, 60), accuracy=tokens)) is not None
    assert perplexity_of(run(loss=np.full(60, 0.9), accuracy=np.full(60, 0.8), ppl=np.full(60, 2.46))) is not None


def test_a_loss_in_bits_has_none():
    made = run(loss=np.full(60, 2.0), ppl=np.full(60, 4.0))
    assert "perplexity-mismatch" in {f.rule for f in diagnose(made).findings}
    assert diagnose(made).perplexity is None
