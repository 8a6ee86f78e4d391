"""What `eval 3 | loss 2.5` counts: steps, evaluations, epochs or sets."""

import pytest

from lmdiag.gather import runs_in
from lmdiag.readers.text import read
from lmdiag.sources.source import Source


def evaluations(evaluation: str, every: int = 1, train: str = "step {s} | loss {v:.3f}") -> dict[str, list[float]]:
    """Return the steps of each evaluation loss of a log that evaluates every 20 steps."""
    lines = []
    for s in range(1, 101):
        if s % every == 0:
            lines.append(train.format(s=s, v=2 + 5 / s))
        if s % 20 == 0:
            lines += [part.format(s=s, k=s // 20, v=3 + 5 / s) for part in evaluation.split("\n")]
    (run,) = runs_in(read(Source("x.log", content="\n".join(lines).encode())), "x")
    return {name: series.steps.tolist() for name, series in run.series.items() if "/" in name}


@pytest.mark.parametrize("train", ["step {s} | loss {v:.3f}", "epoch 0 step {s} loss {v:.3f}"])
@pytest.mark.parametrize("evaluation", ["eval {k} | loss {v:.3f}", "valid 0 loss {v:.3f}", "val 64 loss {v:.3f}"])
def test_a_number_that_is_no_step_leaves_the_step_above(evaluation: str, train: str) -> None:
    assert evaluations(evaluation, train=train) == {"val/loss": [20, 40, 60, 80, 100]}


@pytest.mark.parametrize("every", [1, 7, 10])
def test_a_number_that_fits_between_the_steps_is_one(every: int) -> None:
    assert evaluations("eval {s} | loss {v:.3f}", every) == {"val/loss": [20, 40, 60, 80, 100]}


@pytest.mark.parametrize(
    "evaluation",
    [
        "validate step: {s}  loss: {v:.3f}",
        "evaluate step {s} loss {v:.3f}",
        "eval metrics after step: {s}, loss={v:.3f}",
        "Completed eval after train step {s}, loss={v:.3f}",
    ],
)
def test_the_step_that_was_evaluated_is_that_of_an_evaluation(evaluation: str) -> None:
    assert evaluations(evaluation) == {"val/loss": [20, 40, 60, 80, 100]}


def test_several_numbers_at_one_step_are_sets() -> None:
    found = evaluations("valid 0 loss {v:.3f}\nvalid 1 loss 4.5")
    assert found == {"set_0/loss": [20, 40, 60, 80, 100], "set_1/loss": [20, 40, 60, 80, 100]}


def test_in_a_log_of_epochs_the_number_is_one() -> None:
    lines = [f"epoch {e} loss {9 - e}.5\nval {e} | loss {9 - e}.7\n" for e in range(1, 6)]
    (run,) = runs_in(read(Source("x.log", content=("val 0 | loss 9.9\n" + "".join(lines)).encode())), "x")
    assert run.series["val/loss"].steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert run.series["loss"].steps.tolist() == [1, 2, 3, 4, 5]


def in_epochs(evaluation: str, train: str = "[epoch {e}][step {k}/40] global_step={s} train_loss={v:.3f}") -> list[int]:
    lines = []
    for s in range(10, 121, 10):
        e, k = divmod(s - 1, 40)
        lines.append(train.format(e=e, k=k + 1, s=s, v=2 + 5 / s))
        lines += [evaluation.format(e=e, k=k + 1, s=s, v=3 + 5 / s)] if s % 20 == 0 else []
    (run,) = runs_in(read(Source("x.log", content="\n".join(lines).encode())), "x")
    return run.series["val/loss"].steps.tolist()


@pytest.mark.parametrize("counter", ["{k}", "{s}"], ids=["of the epoch", "of the run"])
def test_steps_of_evaluations_that_start_again_beside_those_of_the_run(counter: str) -> None:
    assert in_epochs(f"[valid][epoch {{e}}][step {counter}] val_loss={{v:.3f}}") == [20, 40, 60, 80, 100, 120]
