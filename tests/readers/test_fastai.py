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


@pytest.mark.parametrize(("last", "said"), [(3.5, True), (float("nan"), False)])
def test_one_nan_makes_the_running_mean_of_the_training_loss_nan_for_good(last: float, said: bool) -> None:
    nan = float("nan")
    rows = [(5.0, 4.5), (nan, nan), (nan, 4.0), (nan, last)]
    content = "epoch,train_loss,valid_loss,time\n" + "".join(f"{k},{a},{b},00:01\n" for k, (a, b) in enumerate(rows))
    (run,) = runs_of(Source("history.csv", content=content.encode()))
    assert run["loss"].reduction == "ema"
    assert any("after one NaN it stays NaN" in note for note in run.notes) == said
