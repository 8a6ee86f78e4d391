"""Named numbers that are no record, or of no known name: they are counted, and none is taken for a curve."""

import math

import pytest

from lmdiag.errors import UnreadableLog
from tests.readers.text.prints import points, run_of


def test_the_length_of_an_epoch_is_no_epoch() -> None:
    run = run_of("loaded 70000 tokens\n1 epoch = 35 batches\n" + "".join(f"step {s}, loss: 2.{s}\n" for s in range(4)))
    assert "epoch" not in run


@pytest.mark.parametrize(
    "settings",
    [
        "{'save': 'x', 'batch': 128, 'epoch': 10, 'lr': 0.0005}",
        "        lr=0.002, clip=5.0, iterations=900",
        "[data] train=800 val=100 test=100",
        "pretrain: train 1,227,467 | val 92,741 tokens",
    ],
)
def test_settings_are_no_records(settings: str) -> None:
    run = run_of(settings + "\n" + "".join(f"Epoch {e}: Train loss 2.{e}, val loss 2.5\n" for e in (1, 2, 3)))
    assert points(run, "loss") == [(1, 2.1), (2, 2.2), (3, 2.3)]
    assert run["val/loss"].steps.tolist() == [1, 2, 3]
    assert not run.events


def test_what_is_said_of_a_checkpoint_is_no_record() -> None:
    run = run_of(
        "".join(
            f"Epoch {e}: train loss 2.{e}\nVal Loss: 3.{e}\nSaved best model (val_loss: 3.{e})\nModel is improving ppl: 9.{e} --> 8.5.\n"
            for e in (1, 2, 3)
        )
    )
    assert points(run, "val/loss") == [(1, 3.1), (2, 3.2), (3, 3.3)]
    assert set(run.series) == {"loss", "val/loss"}


def test_samples_that_are_counted_are_no_steps() -> None:
    run = run_of("".join(f"{k}000/9000 examples, avg loss {9 - k}.5\n" for k in (1, 2, 3)))
    assert run["loss"].steps.tolist() == [1000, 2000, 3000]
    assert "max_steps" not in run.config


@pytest.mark.parametrize(
    "report",
    [
        "Evaluating three checkpoints\n" + "Test accuracy: 0.75\n" * 4,
        "PASS: one step (loss: 5.5)\nBatch loss: 5.25 (4 sequences)\nFull loss: 5.75\n",
    ],
)
def test_a_report_of_single_results_is_no_log(report: str) -> None:
    with pytest.raises(UnreadableLog):
        run_of(report)


def test_the_account_says_which_of_two_columns_was_taken() -> None:
    run = run_of(
        "".join(
            f"step {k}0 loss 2.{k}5 time cost {k}.5s\n" + ("step 30 train loss 2.5\n" if k == 3 else "")
            for k in range(1, 9)
        )
    )
    assert points(run, "train/loss") == [(30, 2.5)]
    assert "elapsed_s" in run.series
    assert any('"loss" was taken for loss, and "train loss" was not' in guess for guess in run.account.guesses)


@pytest.mark.parametrize("level", ["[    INFO] - ", "[INFO ] ", ""])
def test_the_batches_of_an_evaluation_at_a_step_are_no_step(level: str) -> None:
    lines = (
        f"[2026-02-03 10:11:12,131] {level}global step {s}, loss: 8.{s}, speed: 2.5 steps/s\n"
        f"[2026-02-03 10:11:14,131] {level}valid step {s}, batch: 12, loss: 9.{s}, ips: 150 seqs/s\n"
        for s in (300, 600, 900)
    )
    run = run_of("".join(lines))
    assert points(run, "loss") == [(300, 8.3), (600, 8.6), (900, 8.9)]
    assert points(run, "val/loss") == [(300, 9.3), (600, 9.6), (900, 9.9)]


@pytest.mark.parametrize("share", ["~25%", " ~ 5%", "@12.5%"])
def test_a_share_of_a_set_is_no_value_of_it(share: str) -> None:
    run = run_of("".join(f"[Step {s}/900] Train 7.{s} | Val{share} 8.{s}\n" for s in (100, 200, 300)))
    assert points(run, "val/loss") == [(100, 8.1), (200, 8.2), (300, 8.3)]
    assert points(run, "loss") == [(100, 7.1), (200, 7.2), (300, 7.3)]


def test_what_stands_behind_a_slash_is_counted() -> None:
    run = run_of("".join(f"step {s} loss 3.{s}/4.0 lr 0.1\n" for s in range(1, 9)))
    assert points(run, "loss") == [(s, float(f"3.{s}")) for s in range(1, 9)]
    assert sum(skipped.count for skipped in run.skipped) == 8


@pytest.mark.parametrize(
    ("unit", "nats"), [("bits/char", math.log(2)), ("nats/char", 1.0), ("bits/token", math.log(2))]
)
def test_units_behind_a_slash_name_the_loss(unit: str, nats: float) -> None:
    run = run_of("".join(f"epoch {e} {unit}: 3.{e}\n" for e in range(1, 9)))
    assert run["loss"].values == pytest.approx([float(f"3.{e}") * nats for e in range(1, 9)])


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("step {s} micro {s} loss 2.{s}", 8),
        ("GPU {s} | step {s} | loss 2.{s}", 8),
        ("step {s} loss 2.{s} gamma 0.{s}", 8),
    ],
)
def test_numbers_behind_unknown_words_are_counted(line: str, counted: int) -> None:
    run = run_of("".join(line.format(s=s) + "\n" for s in range(1, 9)))
    assert [(skipped.line, skipped.count) for skipped in run.skipped] == [(1, counted)]


def test_a_rank_at_the_end_of_a_line_is_no_unknown_number() -> None:
    run = run_of("".join(f"DEBUG TRAIN Batch 0/{s}0 loss 2.{s} lr 0.1 rank 0\n" for s in range(1, 9)))
    assert run.skipped == ()


def test_a_date_in_words_is_no_unknown_number() -> None:
    run = run_of("".join(f"step {s} loss=2.{s} Time=Wed May 13 22:36:36 2020\n" for s in range(1, 9)))
    assert run.skipped == ()


@pytest.mark.parametrize("name", ["bleu", "wer", "cer", "precision", "recall", "val bleu", "Test WER", "mae"])
def test_a_score_needs_no_sign_before_its_number(name: str) -> None:
    run = run_of("".join(f"step {s}0 train_loss 3.{s} {name} 0.{s} lr 0.1\n" for s in range(1, 9)))
    metric = {"val bleu": "val/bleu", "Test WER": "test/WER"}.get(name, name)
    assert points(run, metric) == [(10 * s, float(f"0.{s}")) for s in range(1, 9)]
    assert run.skipped == ()


@pytest.mark.parametrize("line", ["wer 12.{s}", "Using precision 16.{s} from here", "epoch {s} recall 0.{s}"])
def test_a_score_alone_is_no_record(line: str) -> None:
    with pytest.raises(UnreadableLog):
        run_of("".join(line.format(s=s) + "\n" for s in range(1, 9)))
