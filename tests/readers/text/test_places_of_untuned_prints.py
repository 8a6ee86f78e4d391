"""Where prints that no format describes say the step, the epoch and the batch of a record."""

from __future__ import annotations

import math

import pytest

from lmdiag.errors import UnreadableLog
from tests.readers.text.prints import points, run_of

WRAPPED = (
    "step {k} loss tensor({a}, device='cuda:0', grad_fn=<NllLossBackward0>)",
    "step {k} loss: tensor([{a}], grad_fn=<MeanBackward0>)",
    "step {k} loss: Array({a}, dtype=float32)",
    "step {k} loss: np.float32({a})",
    "Metrics(step={k}, loss={a}, lr=0.001)",
    "Loss at step {k}: {a}",
    "06:38:16.402 [main] INFO org.deeplearning4j.optimize.listeners.ScoreIterationListener - Score at iteration {k} is {a}0000000000",
    "Step {k} ends @ 12/29/2017 04:24:06 [Logloss] {a} [Accuracy] 40.7%",
    "[ff] step     {k}/90  loss(sum) {a}  G_pos 0.171  elapsed 1s",
    "train_batch_loss[ {k} ]:  {a}",
    "After {k} steps the training loss is {a} (gradient norm 1.184)",
    "update={k} nll/tok={a} gnorm=1.184 lrate=0.0003",
    "Epoch: 1, Batch: {k}/90, Loss span/answer/total=0.75/0.25/{a}, Time cost=90.67, ETA=1.70h",
    "Epoch:[1], Batch: [{k}]/[90], lr: 0.64, nll: {a}, ppl: 90.5",
    "2026-03-02 22:26:59.033000: I runner.py:276] Step = {k} ; steps/s = 4.57 ; Learning rate = 0.0002 ; Loss = {a}",
    "step {k} token 5m\ntrain/loss {a}\ntrain/grad_norm 9.5\ntrain/per_length_loss/loss@2 4.9",
    "当前Batch：{k}/60 | 当前损失值：{a} | 当前准确率：0.00%",
    "Loss after iteration {k}: {a}",
    "train loss at step {k} is {a}",
    "step train: [{k}/9], loss train: {a}",
    "03-04 10:11:12 [MainThread] INFO Step: {k} Loss: {a}",
)


@pytest.mark.parametrize("template", WRAPPED)
def test_where_the_number_stands(template: str) -> None:
    run = run_of("\n".join(template.format(k=k, a=4.5 - k / 10) for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.4), (2, 4.3), (3, 4.2)]


BRACKETS = (
    "[{e}/3][{b}/40] loss: {a}",
    "[{e}/3, {b}/40] loss: {a}",
    "[Epoch {e}/3][ {b}:40]  Loss: {a}",
    "Train: {e} [ {b}/40 ( 25%)]  Loss: {a} (4.5)",
)


@pytest.mark.parametrize("template", BRACKETS)
def test_epoch_and_batch_in_brackets(template: str) -> None:
    places = [(e, b) for e in (1, 2, 3) for b in (10, 20)]
    run = run_of("\n".join(template.format(e=e, b=b, a=5 - e) for e, b in places))
    assert points(run, "loss") == [((e - 1) * 40 + b, 5 - e) for e, b in places]


def test_pairs_of_epoch_and_batch() -> None:
    run = run_of("\n".join(f"[{e}, {b:5d}] loss: {5 - e}.5" for e in (1, 2) for b in (200, 400)))
    assert points(run, "loss") == [(200, 4.5), (400, 4.5), (600, 3.5), (800, 3.5)]


def test_bars_of_epochs_far_apart() -> None:
    bars = (
        "Epoch 0: 3%|▎ | 2/58 [00:07<03:28, 3.7s/it, loss=0.6]\nEpoch 7: 5%|▌ | 3/58 [00:08<02:34, 2.8s/it, loss=0.1]"
    )
    assert points(run_of(bars), "loss") == [(2, 0.6), (7 * 58 + 3, 0.1)]


def test_iterations_that_count_epochs() -> None:
    run = run_of(
        "".join(f"log\\train.log - iteration:{e} step:{s}/29, NER loss: {9 - e}.5\n" for e in (1, 2) for s in (10, 20))
    )
    assert points(run, "loss") == [(10, 8.5), (20, 8.5), (39, 7.5), (49, 7.5)]


def test_a_growing_count_is_guessed_to_be_the_step_and_said() -> None:
    run = run_of("\n".join(f"INFO:root:count: {k * 50}, loss:{5 - k / 4}" for k in range(5)))
    assert run["loss"].steps.tolist() == [0, 50, 100, 150, 200]
    assert any('"count" grows' in note for note in run.notes)


def test_numbered_records_on_one_line() -> None:
    text = "".join(f"[{k:03}] train_loss: {4 - k / 10:.1f} | dev_loss: 4.{k} " + (">>> saved\n" if k % 3 == 0 else "") for k in range(1, 10))  # fmt: skip
    run = run_of(text)
    assert points(run, "loss") == [(k, round(4 - k / 10, 1)) for k in range(1, 10)]
    assert len(run["val/loss"]) == 9


def test_an_index_that_stays_is_no_step() -> None:
    bar = "loss[0] = {}:  {}%|██▏  | {}/90 [00:00<14:12,  7.00it/s]"
    run = run_of("\r".join(bar.format(9.5 - k / 10, k, k * 10) for k in range(1, 9)))
    assert points(run, "loss") == [(k * 10, pytest.approx(9.5 - k / 10)) for k in range(1, 9)]


def test_lines_with_a_loss_and_no_place_are_counted() -> None:
    run = run_of("".join(f"step {k} loss={5 - k / 10:.1f}\nshadow loss 2.5 today\n" for k in range(1, 9)))
    assert len(run["loss"]) == 8
    assert "8 lines with a loss and no place were not used, the first is line 2" in run.notes


def test_tokens_are_a_place() -> None:
    run = run_of("".join(f"tokens {0.25 * k}B | loss {9 - k / 20} | lr 2.9e-4 | 412k tok/s\n" for k in range(1, 25)))
    assert points(run, "loss") == [(250_000_000 * k, 9 - k / 20) for k in range(1, 25)]


def test_batches_are_counted_beside_losses_of_names_of_their_own() -> None:
    run = run_of("".join(f"batch: {k}, GD_loss: {9 - k / 8}, RD_loss: 7.5, combined_loss: nan, \n" for k in range(8)))
    assert run["GD_loss"].steps.tolist() == list(range(8))
    assert [math.isnan(value) for _, value in points(run, "loss")] == [True] * 8
    with pytest.raises(UnreadableLog):
        run_of("batch: 32, accuracy_of: 0.5\n" * 8)


@pytest.mark.parametrize(
    "place",
    [
        "{e} completed epochs, {b} batches\t",
        "Finished {e} epochs and {b} steps: ",
        "{e:03} epoch, {b:05} iter, ",
        "{e} epoch, {b} iter, ",
    ],
)
def test_epochs_and_batches_counted_before_their_words(place: str) -> None:
    lines = [(e, b, 2.5 - 0.4 * e - 0.1 * b / 100) for e in range(3) for b in (100, 200, 300)]
    run = run_of("".join(f"{place.format(e=e, b=b)}training loss: {loss:.4f}\n" for e, b, loss in lines))
    assert points(run, "loss") == [(300 * e + b, pytest.approx(loss, abs=1e-4)) for e, b, loss in lines]
    assert [value for _, value in points(run, "epoch")] == [e for e, _, _ in lines]


def test_counts_padded_with_zeros_before_their_words() -> None:
    run = run_of(
        "".join(f"000 epoch, {k:05} iter, loss {9 - k / 1000}\n" for k in (0, 500, 1000, 1500))
        + "2025-03-01 00:56:42,407 - __main__ - INFO - 000 epoch training, loss=7.25\n"
    )
    assert points(run, "loss")[:3] == [(0, 9), (500, 8.5), (1000, 8)]
    assert run["epoch"].values.tolist() == [0] * 4


@pytest.mark.parametrize(
    "place",
    ["lr 5e-05 step {k}", "lr 5.00e-05 step {k}", "[01:03 step {k}]", "2024-01-05 step {k}", "+0000 step {k}", "node-01 step {k}", "seed 042 step {k}"],
)  # fmt: skip
def test_no_count_is_taken_from_a_number_before_another(place: str) -> None:
    run = run_of("".join(f"{place.format(k=100 * k)} loss {9 - k / 8}\n" for k in range(1, 20)))
    assert points(run, "loss") == [(100 * k, 9 - k / 8) for k in range(1, 20)]
    assert "lr" not in place or set(run["lr"].values) == {5e-05}


def test_an_excerpt_of_a_later_epoch_plans_nothing() -> None:
    line = "epoch {e}/10 | {k}/17104 batches | loss 2.{k}\n"
    assert "max_steps" not in run_of("".join(line.format(e=10, k=k) for k in range(12500, 13500, 100))).config
    assert run_of("".join(line.format(e=1, k=k) for k in range(12500, 13500, 100))).config["max_steps"] == 171040
