"""Printed lines of little-known programs, of the shapes that a sample of public logs had and no reader read."""

from __future__ import annotations

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source

STEPS = range(2100, 2700, 100)


def run_of(text: str) -> Run:
    (run,) = runs_of(Source("train.log", content=text.encode()))
    return run


def points(run: Run, metric: str) -> list[tuple[int, float]]:
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist()))


def loss_at(step: int) -> float:
    return round(8.0 - step / 1000, 2)


NUMBERED = (  # the number in front is that of the line, or of the process
    "  {n}\tstep {k}, loss: {a}",
    "{n}:step {k}, loss: {a}",
    "{n} Epoch 2, {k}/17636; loss: {a}; acc: 6.25",
    "(0) step {k} loss {a}",
    "#{k} loss={a} lr=0.1",
    "step {k}: loss min=0.5 avg={a} max=10.2",
)


@pytest.mark.parametrize("template", NUMBERED)
def test_numbers_in_front(template: str) -> None:
    run = run_of("\n".join(template.format(n=310 + k // 100, k=k, a=loss_at(k)) for k in STEPS))
    assert points(run, "loss") == [(k, loss_at(k)) for k in STEPS]


def test_a_number_in_front_is_the_step_where_nothing_else_is() -> None:
    run = run_of("\n".join(f"{k} loss: {loss_at(k)} lr: 0.1" for k in STEPS))
    assert points(run, "loss") == [(k, loss_at(k)) for k in STEPS]


def test_loss_followed_by_its_step() -> None:
    lines = [f"Train loss {k} {loss_at(k)} Grad Norm 1.25 2.41s/it" for k in STEPS]
    run = run_of(
        "\n".join(
            ["Epoch: 1", *lines[:3], "Validation loss 2300:  6.125  ", *lines[3:], "Validation loss 2600:  6.0  "]
        )
    )
    assert points(run, "loss") == [(k, loss_at(k)) for k in STEPS]
    assert points(run, "val/loss") == [(2300, 6.125), (2600, 6.0)]


def test_step_set_to_the_right() -> None:
    run = run_of(
        "\n".join(
            f"Eval step {k:6} | train loss {loss_at(k)} | val loss {loss_at(k) + 0.25} | BLEU: 0.0"
            for k in range(0, 2500, 500)
        )
    )
    assert run["val/loss"].steps.tolist() == [0, 500, 1000, 1500, 2000]


def test_section_in_words() -> None:
    lines = [f"Epoch 1 step {k} loss {loss_at(k)}" for k in STEPS]
    run = run_of("\n".join([*lines[:3], "Evaluating : loss 6.5 acc 0.4", *lines[3:], "Evaluating : loss 6.25 acc 0.4"]))
    assert points(run, "loss") == [(k, loss_at(k)) for k in STEPS]
    assert run["val/loss"].values.tolist() == [6.5, 6.25]


def test_epochs_with_decimals_are_no_steps() -> None:
    run = run_of(
        "\n".join(f"----\nEpoch {k / 400:.4f} average loss = {loss_at(k)}\n----\nThe quick brown fox" for k in STEPS)
    )
    assert run["loss"].values.tolist() == [loss_at(k) for k in STEPS]
    assert run["epoch"].values.tolist() == [k / 400 for k in STEPS]


@pytest.mark.parametrize("template", ["{k}: {a}", "{k}, {a}", "{k} tensor({a}, device='cuda:0')"])
def test_a_step_and_its_loss_alone(template: str) -> None:
    steps = range(2100, 3300, 100)
    run = run_of("\n".join(template.format(k=k, a=loss_at(k)) for k in steps))
    assert points(run, "loss") == [(k, loss_at(k)) for k in steps]


def test_tensors_alone() -> None:
    run = run_of(
        "\n".join(f"tensor({loss_at(k)}, device='cuda:0', grad_fn=<NllLossBackward0>)" for k in range(2100, 3300, 100))
    )
    assert run["loss"].values.tolist() == [loss_at(k) for k in range(2100, 3300, 100)]
