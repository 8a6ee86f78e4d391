"""fastai's table: its metrics are those of the validation set, whether printed or in a file."""

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source

ROWS = [
    (5.044296, 4.251523, 0.5, 70.212265),
    (4.288382, 3.235662, 0.55, 25.423197),
    (3.736417, float("nan"), 0.6, float("nan")),
]
NAMES = ("epoch", "train_loss", "valid_loss", "accuracy", "perplexity", "time")
CELLS = [[str(epoch), *(f"{value:.6f}" for value in row), "00:12"] for epoch, row in enumerate(ROWS)]
WRITTEN = "\n".join(",".join(cells) for cells in (NAMES, *CELLS)) + "\n"
PRINTED = "\n".join("".join(f"{cell:<12}" for cell in cells).rstrip() for cells in (NAMES, *CELLS)) + "\n"


@pytest.mark.parametrize(("name", "content"), [("history.csv", WRITTEN), ("out.log", PRINTED)])
def test_metrics_are_those_of_the_validation_set(name: str, content: str) -> None:
    (run,) = runs_of(Source(name, content=content.encode()))
    assert run["val/ppl"].values[:2].tolist() == [70.212265, 25.423197]
    assert run["val/accuracy"].values.tolist() == [0.5, 0.55, 0.6]
    assert len(run["val/loss"]) == len(run["loss"]) == 3
    assert "ppl" not in run
    assert run.skipped == ()
