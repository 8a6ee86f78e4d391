"""Printed lines of little-known programs, of the shapes that a sample of public logs had and no reader read."""

from __future__ import annotations

import pytest

from tests.readers.text.prints import points, run_of

STEPS = range(2100, 2700, 100)


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


@pytest.mark.parametrize("frame", ["", "2021-03-01 10:05:00,003 - INFO - allennlp.training.tensorboard_writer - "])
def test_a_row_of_both_sets(frame: str) -> None:
    lines = []
    for k in range(3):
        lines += [
            f"Epoch {k}/9",
            f"{frame}                   Training |  Validation",
            f"{frame}gpu_0_memory_MB    |  3012.000  |       N/A",
        ]
        lines += [
            f"{frame}accuracy  |     0.{k + 5}  |     0.{k + 4}",
            f"{frame}loss     |     {3 - k / 2}  |     {3.25 - k / 2}",
        ]
    run = run_of("\n".join(lines))
    assert run["loss"].values.tolist() == [3.0, 2.5, 2.0]
    assert run["val/loss"].values.tolist() == [3.25, 2.75, 2.25]
    assert run["val/accuracy"].values.tolist() == [0.4, 0.5, 0.6]


def test_averages_are_taken_for_sums() -> None:
    epochs = [(k, 1 - k / 16, 1.25 - k / 16) for k in range(1, 7)]
    lines = [
        f"Epoch {k}, Training Loss: {200 * a} - Average Training Loss: {a} - Val Loss: {32 * b} - Average Val Loss: {b}"
        for k, a, b in epochs
    ]
    run = run_of("\n".join(lines))
    assert points(run, "loss") == [(k, a) for k, a, _ in epochs]
    assert points(run, "val/loss") == [(k, b) for k, _, b in epochs]


def test_averages_so_far_are_not_taken_for_the_loss_of_a_step() -> None:
    run = run_of("\n".join(f"step {k}, loss: {5 - k / 8}, average loss: {5 - k / 16}" for k in range(1, 9)))
    assert run["loss"].values.tolist() == [5 - k / 8 for k in range(1, 9)]


def test_a_colon_behind_the_first_column() -> None:
    run = run_of(
        "\n".join(
            ["ITER:       LOSS               SUM(GRADNORM)", *(f"{k}:\t{loss_at(k)}\t3.876149084" for k in STEPS)]
        )
    )
    assert points(run, "loss") == [(k, loss_at(k)) for k in STEPS]


def test_further_values_of_an_evaluation_of_build_nanogpt() -> None:
    lines = []
    for k in range(250, 2000, 250):
        lines += [f"{k} valset_ppl {50 - k / 100} valset_loss {4 - k / 1000}", f"{k} train {3 - k / 1000}"]
    run = run_of("\n".join(lines))
    assert points(run, "loss") == [(k, 3 - k / 1000) for k in range(250, 2000, 250)]
    assert points(run, "val/loss") == [(k, 4 - k / 1000) for k in range(250, 2000, 250)]


def test_each_set_of_an_epoch_has_its_line() -> None:
    line = "I {name} of Epoch {k} - loss: {a}   \n"
    run = run_of(
        "".join(
            line.format(name=n, k=k, a=a - k) for k in range(6) for n, a in (("Training", 223.5), ("Validation", 188.5))
        )
    )
    assert points(run, "loss") == [(k, 223.5 - k) for k in range(6)]
    assert points(run, "val/loss") == [(k, 188.5 - k) for k in range(6)]


def test_marian_measures_a_set_in_lines_of_their_own() -> None:
    at = "[2025-01-02 10:11:12] {valid}Ep. {e} : Up. {k} : {measured}\n"
    text = ""
    for k in STEPS:
        text += at.format(
            valid="", e=k // 1000, k=k, measured=f"Sen. 299,352 : Cost {loss_at(k)} : Time 32.34s : gNorm 0.5"
        )
        for measured in (
            f"cross-entropy : {60 - k / 100}",
            f"ce-mean-words : {loss_at(k) + 1}",
            f"bleu-detok : {k / 100}",
        ):
            text += at.format(valid="[valid] ", e=k // 1000, k=k, measured=f"{measured} : new best")
    run = run_of(text)
    assert points(run, "loss") == [(k, loss_at(k)) for k in STEPS]
    assert points(run, "val/loss") == [(k, loss_at(k) + 1) for k in STEPS]
    assert points(run, "val/bleu-detok") == [(k, k / 100) for k in STEPS]
    alone = run_of("".join(line for line in text.splitlines(True) if "ce-mean-words" not in line))
    assert points(alone, "val/loss") == [(k, 60 - k / 100) for k in STEPS]


def test_the_score_of_a_translation_is_no_record_without_its_set() -> None:
    run = run_of("".join(f"step {k} loss {loss_at(k)}\nstep {k} sample bleu: 0.5\n" for k in STEPS))
    assert set(run.series) == {"loss"}
