"""Lines that hold no number one knows a training run by: their numbers are columns, or counted as not read."""

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source


def run_of(block: str, before: str = "", often: int = 12) -> Run:
    text = before + "".join(block.format(k=10 * k, a=5 - k / 10, x=k / 4) for k in range(1, often + 1))
    (run,) = runs_of(Source("a.log", content=text.encode()))
    return run


def unread(run: Run) -> int:
    return sum(skipped.count for skipped in run.skipped if skipped.unit == "value")


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ("step {k} loss {a}\nWärme: {x}\n", "Wärme"),
        ("Loss: {a} - step {k}\n\n    warmth = {x}\n", "warmth"),
        ("┌ Info: training\n│   step = {k}\n│   loss = {a}\n└   η = {x}\n", "η"),
        ("INFO:tensorflow:loss = {a}, step = {k}\nINFO:tensorflow:global_step/sec: {x}\n", "steps_per_sec"),
    ],
)
def test_a_number_alone_below_each_record_is_a_column(block: str, name: str) -> None:
    run = run_of(block)
    assert run[name].steps.tolist() == run["loss"].steps.tolist() == list(range(10, 130, 10))
    assert run[name].values.tolist() == [k / 4 for k in range(1, 13)]
    assert not unread(run)


def test_a_number_above_each_record_is_counted() -> None:
    run = run_of("Wärme: {x}\nstep {k} loss {a}\n")
    assert "Wärme" not in run.series
    assert unread(run) == 12


def test_a_setting_that_stands_above_the_records_again_and_again_is_counted() -> None:
    run = run_of("step {k} loss {a}\nheads = {x}\n", before="heads = 8.5\nbegin\nof\nthe\nlog\n")
    assert "heads" not in run.series
    assert unread(run) == 13


def test_a_number_that_stands_twice_below_a_record_is_counted() -> None:
    run = run_of("step {k} loss {a}\nWärme: {x}\nWärme: 0.5\n")
    assert "Wärme" not in run.series
    assert unread(run) == 24


def test_a_number_of_few_lines_is_text() -> None:
    assert run_of("step {k} loss {a}\nWärme: {x}\n", often=2 + 1)["Wärme"].values.tolist() == [0.25, 0.5, 0.75]
    text = "step 1 loss 5.5\nparameters: 124.5\nstep 2 loss 5.4\nstep 3 loss 5.3\n"
    (run,) = runs_of(Source("a.log", content=text.encode()))
    assert list(run.series) == ["loss"]


def test_losses_of_an_evaluation_under_names_of_their_own_are_evaluations() -> None:
    run = run_of("step {k} loss {a}\neval step {k} general_loss {x} task_loss {a}\n")
    assert run["general/loss"].values.tolist() == [k / 4 for k in range(1, 13)]
    assert run["general/loss"].steps.tolist() == list(range(10, 130, 10))
    assert len(run["task/loss"]) == 12


def test_scores_of_an_evaluation_at_the_step_of_a_record_are_kept() -> None:
    run = run_of("step {k} loss {a}\neval step {k} acc_a {x} acc_b 0.5\n")
    assert run["val/acc_a"].steps.tolist() == run["loss"].steps.tolist()


def test_numbers_of_an_evaluation_that_nothing_names_are_counted() -> None:
    assert unread(run_of("step {k} loss {a}\neval step {k} foo {x}5 bar 0.5\n")) == 24
