"""Losses below headlines, and training and evaluation sets beside each other."""

from __future__ import annotations

import pytest

from tests.readers.text.prints import points, run_of


def test_training_and_evaluation_on_one_line() -> None:
    run = run_of("".join(f"Epoch {k} train loss: 4.{9 - k}Epoch {k} val loss: 5.{9 - k}\n" for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.8), (2, 4.7), (3, 4.6)]
    assert points(run, "val/loss") == [(1, 5.8), (2, 5.7), (3, 5.6)]


def test_a_test_set_behind_the_loss_of_training() -> None:
    lines = [
        f"Train Epoch: {k} Loss: 2.{9 - k}Test set: Average loss: 1.{9 - k}, Accuracy: {k}/10\n" for k in (1, 2, 3)
    ]
    run = run_of("".join(lines))
    assert run["loss"].values.tolist() == [2.8, 2.7, 2.6]
    assert run["test/loss"].values.tolist() == [1.8, 1.7, 1.6]


def test_losses_of_an_epoch_without_steps_keep_the_epoch() -> None:
    run = run_of("\n".join(f"epoch: {e} | loss: {5 - e}.{9 - b}" for e in (0, 1, 2) for b in range(3)))
    assert run["loss"].steps.tolist() == list(range(1, 10))
    assert run["epoch"].values.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_losses_below_the_headline_of_an_epoch() -> None:
    text = "".join(f"Epoch {k}\n  Train: loss 3.{9 - k} acc 0.3\n  Valid: loss 4.{9 - k} acc 0.2\n" for k in (1, 2, 3))
    run = run_of(text)
    assert points(run, "loss") == [(1, 3.8), (2, 3.7), (3, 3.6)]
    assert points(run, "val/loss") == [(1, 4.8), (2, 4.7), (3, 4.6)]


def test_losses_below_the_name_of_their_set() -> None:
    text = "".join(
        f"== Epoch {k} ==\nTraining...\nLoss: 3.{9 - k}\nEvaluating...\nLoss: 4.{9 - k}\n" for k in (1, 2, 3)
    )
    run = run_of(text)
    assert points(run, "loss") == [(1, 3.8), (2, 3.7), (3, 3.6)]
    assert points(run, "val/loss") == [(1, 4.8), (2, 4.7), (3, 4.6)]


def test_two_losses_on_lines_of_their_own() -> None:
    text = "".join(
        f"Loss at epoch {k} and iteration 50 is 0.{k}\nNCE Loss at epoch {k} and iteration 50 is 0.9{k}\n"
        for k in (1, 2, 3)
    )
    run = run_of(text)
    assert run["loss"].values.tolist() == [0.1, 0.2, 0.3]
    assert run["NCE Loss"].values.tolist() == [0.91, 0.92, 0.93]


def test_a_result_before_training_does_not_take_the_name_of_the_loss():
    run = run_of(
        "Baseline Train Loss: 1.5, Baseline Val Loss: 1.6\n"
        + "".join(f"Epoch [{k}/9], Train Loss: 1.{9 - k}, Val Loss: 1.{9 - k}5\n" for k in range(1, 10))
    )
    assert run["loss"].values[:2].tolist() == [1.8, 1.7]
    assert len(run["val/loss"]) == 9


def test_sets_that_begin_a_line_without_a_step() -> None:
    text = "".join(
        f"Epoch {epoch} step {k} acc: {50 + epoch}.00% loss: {2 - epoch / 10}\n"
        + (f"dev acc: 4{epoch}.00% loss: 2.{epoch}\ntest acc: 3{epoch}.00% loss: 3.{epoch}\n" if k == 300 else "")
        for epoch in range(4)
        for k in (100, 200, 300)
    )
    run = run_of(text)
    assert points(run, "val/loss") == [(300, 2.0), (600, 2.1), (900, 2.2), (1200, 2.3)]
    assert run["test/loss"].values.tolist() == [3.0, 3.1, 3.2, 3.3]
    assert len(run["loss"]) == 12


def test_epochs_of_a_set_with_a_hyphen() -> None:
    text = "".join(
        f"Train-Epoch-{k}: Acc:1{k}.5, Loss:2.{9 - k}\nTest-Epoch-{k}: Acc:2{k}.5, Loss:1.{9 - k}\n" for k in range(8)
    )
    run = run_of(text)
    assert points(run, "loss")[:2] == [(0, 2.9), (1, 2.8)]
    assert points(run, "test/loss")[:2] == [(0, 1.9), (1, 1.8)]


def test_the_mean_of_an_epoch_is_not_the_loss_of_its_last_step() -> None:
    text = "".join(
        "".join(f"epoch {e} - iter {b}/40 - loss {9 - e}.{b}\n" for b in (10, 20, 40))
        + f"EPOCH {e} done: loss {9 - e}.75 - lr 0.1 - bad epochs 0\nDEV : loss {8 - e}.5 - acc 0.5\n"
        for e in (1, 2, 3)
    )
    run = run_of(text)
    assert points(run, "loss")[:4] == [(10, 8.1), (20, 8.2), (40, 8.4), (50, 7.1)]
    assert run["val/loss"].values.tolist() == [7.5, 6.5, 5.5]
    assert run["epoch loss"].values.tolist() == [8.75, 7.75, 6.75]


BLOCKS = {
    "NeMo-RL": "==== Step {k}/90 ====\n> Training policy...\n\nResults:\n  • Loss: {a}\n  • Avg Reward: 0.5\n\nTiming:\n  • Total step time: 66.55s\n",
    "counts of a block": "Iteration: \t {k}\nNumTrajs: \t 200\nNumTimesteps: \t 3254{k}\nLoss:     \t {a}\n-----------------\n",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_losses_below_the_headline_of_a_step(block: str) -> None:
    run = run_of("".join(block.format(k=3 * k, a=9 - k / 10) for k in range(1, 9)))
    assert points(run, "loss") == [(3 * k, 9 - k / 10) for k in range(1, 9)]


def test_an_evaluation_that_names_its_step_is_none_of_the_training() -> None:
    run = run_of("".join(f"Eval step {k}: loss 2.{k}\nstep {k}: loss 3.{k}\n" for k in range(1, 6)))
    assert run["val/loss"].values.tolist() == [2.1, 2.2, 2.3, 2.4, 2.5]
    assert run["loss"].values.tolist() == [3.1, 3.2, 3.3, 3.4, 3.5]


def test_losses_below_the_headline_of_an_evaluation() -> None:
    text = "".join(
        f"INFO step {k}: loss 3.{k}\nINFO ***** Validation at step {k} *****\nINFO   loss = 4.{k}\n"
        for k in range(1, 7)
    )
    run = run_of(text)
    assert points(run, "loss") == [(k, 3 + k / 10) for k in range(1, 7)]
    assert points(run, "val/loss") == [(k, 4 + k / 10) for k in range(1, 7)]


def test_summaries_of_an_epoch_name_their_set() -> None:
    line = "[05-07 13:05:33][flashy.solver][INFO] - {} Summary | Epoch {} | ce={} | ppl=9.5 | duration=22.617\n"
    run = run_of(
        "".join(line.format(s, e, 3 + x - e / 10) for e in (1, 2, 3, 4) for s, x in (("Train", 0), ("Valid", 1)))
    )
    assert points(run, "loss") == [(e, 3 - e / 10) for e in (1, 2, 3, 4)]
    assert points(run, "val/loss") == [(e, 4 - e / 10) for e in (1, 2, 3, 4)]


def test_buckets_of_an_evaluation_are_sets_of_their_own() -> None:
    text = "".join(
        f"global step {200 * k} learning rate 0.5 step-time 1.01 perplexity {20 - k}.5\n"
        + "".join(f"  eval: bucket {b} perplexity {30 + b - k}.5\n" for b in (0, 1))
        for k in range(1, 6)
    )
    run = run_of(text)
    assert points(run, "ppl") == [(200 * k, 20.5 - k) for k in range(1, 6)]
    assert points(run, "bucket_1/ppl") == [(200 * k, 31.5 - k) for k in range(1, 6)]


def test_where_one_step_of_each_epoch_is_printed_the_means_of_epochs_are_the_curve() -> None:
    run = run_of("".join(f"Epoch {k} Batch 0 Loss {5.1 - k:.1f}\nEpoch {k} Loss {5 - k}.0\n" for k in range(1, 5)))
    assert points(run, "loss") == [(k, 5.0 - k) for k in range(1, 5)]
    assert run["batch Loss"].values.tolist() == pytest.approx([4.1, 3.1, 2.1, 1.1])


def test_a_set_that_is_said_to_be_one() -> None:
    run = run_of(
        "".join(f"ep={k:02d} tr=['a'] loss={3 - k / 8} err=0.5 valid=dev loss={4 - k / 8} err=0.4\n" for k in range(8))
    )
    assert points(run, "loss") == [(k, 3 - k / 8) for k in range(8)]
    assert points(run, "val/loss") == [(k, 4 - k / 8) for k in range(8)]
