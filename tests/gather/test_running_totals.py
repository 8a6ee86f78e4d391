"""Losses that add up from the beginning, as gensim prints them, and speeds that are means since it, as the Trainer logs them."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source

ADDED = [51858.5, 24218.0, 17005.0, 20783.5, 15582.0, 15476.5, 15274.0, 14849.5]


def printed(losses: list[float]) -> Run:
    content = "".join(f"Loss after epoch {epoch}: {loss}\n" for epoch, loss in enumerate(losses))
    (run,) = runs_of(Source("word2vec.log", content=content.encode()))
    return run


def test_what_each_epoch_added_is_the_loss() -> None:
    run = printed(np.cumsum(ADDED).tolist())
    assert run["loss"].values.tolist() == ADDED
    assert '"Loss" adds up from the beginning; what each record added was taken.' in run.notes


@pytest.mark.parametrize(
    "losses",
    [
        [4.0, 8.0, 12.0, 16.0, 20.0, 24.0],  # of a token: it diverges
        [5000.0, 5100.0, 5200.0, 5300.0, 5400.0],  # summed over a batch, and rising
        [5000.0, 9000.0, 12000.0, 11000.0, 15000.0],  # it falls once
        [5000.0, 9000.0, float("nan"), 15000.0, 19000.0],
        [5000.0, 9000.0, 12000.0],
    ],
)
def test_other_losses_are_taken_as_they_are(losses: list[float]) -> None:
    run = printed(losses)
    np.testing.assert_array_equal(run["loss"].values, losses)
    assert not any("adds up" in note for note in run.notes)


def timed(decimals: int = 4) -> Iterator[dict[str, float]]:
    """Yield 60 records of 1,000 tokens a second, then 60 of 250, of a Trainer that began anew at the 30th."""
    tokens = 0
    for begin, stop in ((0, 30), (30, 120)):
        clock, before = 0.0, tokens
        for n in range(begin, stop):
            tokens += 10_000
            clock += 10.0 if n < 60 else 40.0
            speed = round((tokens - before) / clock, 3)
            times = {"train_runtime": round(clock + 1e-4, decimals), "train_tokens_per_second": speed}
            yield {"step": n + 1, "loss": 3 - n / 100, "num_input_tokens_seen": tokens, **times}


def speeds_of(records: list[dict[str, float]]) -> Run:
    content = json.dumps({"log_history": records, "global_step": 120})
    (run,) = runs_of(Source("trainer_state.json", content=content.encode()))
    return run


def test_the_speed_of_the_trainer_is_that_since_the_record_before() -> None:
    run = speeds_of(list(timed()))
    np.testing.assert_allclose(run["tokens_per_sec"].values, [1000.0] * 60 + [250.0] * 60, rtol=1e-4)
    assert (
        '"train_tokens_per_second" is a mean since the start; the speed since the record before was taken.' in run.notes
    )


def test_a_rounded_clock_leaves_the_mean() -> None:
    records = list(timed(0))
    run = speeds_of(records)
    assert run["tokens_per_sec"].values.tolist() == [record["train_tokens_per_second"] for record in records]
    assert not any("mean since the start" in note for note in run.notes)
