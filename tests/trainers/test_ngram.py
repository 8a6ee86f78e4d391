"""The n-gram model against a worked example, and its run as a log."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainers.conftest import read, values
from trainers import corpus, ngram
from trainers.__main__ import main

# The text 0 1 0 2 1 over three tokens, discount 1/2, worked by hand.
# Before token 1 stand {0, 2}, before 0 {1}, before 2 {0}: continuation counts 1, 2, 1 of 4 in all, and 3 tokens give up
# half a count each: the share left to the uniform distribution is 1.5/4 = 0.375.
#   p(0) = 0.5/4 + 0.375/3 = 0.25      p(1) = 1.5/4 + 0.125 = 0.5      p(2) = 0.25
# After 0: one 1 and one 2 of 2, share left 0.5.   p(1|0) = 0.25 + 0.5 * 0.5 = 0.5   p(2|0) = 0.25 + 0.5 * 0.25 = 0.375
# After 1: one 0 of 1, share left 0.5.             p(0|1) = 0.5 + 0.5 * 0.25 = 0.625   p(1|1) = 0.25   p(2|1) = 0.125
# After 2: one 1 of 1, share left 0.5.             p(1|2) = 0.5 + 0.5 * 0.5 = 0.75
WORKED = np.array([0, 1, 0, 2, 1])
HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "chances"),
    [([0, 2, 1, 1], [0.25, 0.375, 0.75, 0.25]), ([1, 0, 0], [0.5, 0.625, 0.125]), ([2, 1, 2], [0.25, 0.75, 0.125])],
)
def test_perplexity_is_that_of_the_worked_example(text, chances):
    model = ngram.NGram(WORKED, 2, 3, HALF)
    assert model.probabilities(np.array(text)) == pytest.approx(chances, rel=1e-12)
    assert math.exp(model.loss(np.array(text))) == pytest.approx(math.prod(chances) ** (-1 / len(text)), rel=1e-12)


def test_discounts_are_those_of_the_formula():
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4])  # n1 = 8, n2 = 4, n3 = 2, n4 = 1: Y = 1/2
    assert ngram.estimated_discounts(counts) == pytest.approx((0.5, 1.25, 2.0))
    assert ngram.estimated_discounts(np.array([1, 1, 2])) == (0.75, 0.75, 0.75)
    # n1 = 8, n2 = 4, n3 = 1, n4 = 2 would discount what was seen thrice by -1: nothing would be left for what was never seen
    assert ngram.estimated_discounts(np.array([1] * 8 + [2] * 4 + [3] + [4] * 2)) == (0.75, 0.75, 0.75)


@settings(max_examples=40)
@given(
    text=st.lists(st.integers(0, 4), min_size=2, max_size=60),
    context=st.lists(st.integers(0, 4), max_size=5),
    order=st.integers(1, 4),
)
def test_every_distribution_sums_to_one_and_agrees_with_the_scores(text, context, order):
    model = ngram.NGram(np.array(text), min(order, len(text)), 5)
    chances = model.next_token(context)
    assert chances.sum() == pytest.approx(1.0)
    assert (chances > 0).all()
    scored = [model.probabilities(np.array([*context, token]))[-1] for token in range(5)]
    assert chances == pytest.approx(scored)


def test_more_context_helps_and_the_known_entropy_is_reached():
    text = corpus.markov(6, tokens=100_000)
    losses = ngram.reference_losses(text, 3)
    assert losses["uniform"] == pytest.approx(math.log(6), abs=1e-5)
    assert losses["uniform"] > losses["unigram"] > losses["bigram"]
    assert losses["bigram"] == pytest.approx(text.entropy_rate, rel=0.02)
    assert losses["ngram"] == pytest.approx(losses["bigram"], rel=0.01)  # the source looks back one symbol only


def test_what_counting_reaches_is_that_of_the_part_asked_for():
    text = dataclasses.replace(corpus.markov(6, tokens=100_000), test=np.zeros(1000, dtype=np.int64))
    zeros = ngram.reference_losses(text, part="test")["unigram"]
    assert zeros == pytest.approx(-math.log(float(np.mean(text.train == 0))), rel=0.01)
    assert zeros != pytest.approx(ngram.reference_losses(text)["unigram"], rel=0.01)


def test_a_run_is_logged_as_a_learning_curve(tmp_path):
    log = tmp_path / "a.jsonl"
    assert (
        main(
            ["ngram", "--max-characters", "30000", "--order", "3", "--steps", "4", "--sample", "30", "--log", str(log)]
        )
        == 0
    )
    records = read(log)
    assert set(records[0]["reference_loss"]) == {"uniform", "unigram", "bigram", "ngram"}
    assert [record["split"] for record in records if record["type"] == "eval"] == ["val"] * 4 + ["test"]
    losses = values(records, "loss", "eval")
    assert losses[3] < losses[0]
    assert losses[3] == pytest.approx(records[0]["reference_loss"]["ngram"], abs=1e-4)
    assert values(records, "tokens")[-1] > 20_000
    assert [len(r["message"]) for r in records if r.get("kind") == "sample"] != []


def test_faults_it_cannot_have_are_refused(tmp_path, capsys):
    assert main(["ngram", "--fault", "lr-zero", "--log", str(tmp_path / "a.jsonl")]) == 2
    assert "needs the settings lr" in capsys.readouterr().err
