"""Losses that add up from the beginning, as gensim prints them."""

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
