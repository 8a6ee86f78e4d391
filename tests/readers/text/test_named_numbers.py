"""Prints of programs nobody knows: which lines are records, where they stand, and under what name their numbers go."""

import math

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.text import read
from lmdiag.sources.source import Source
from tests.readers.text.prints import points, run_of


def test_an_evaluation_line_that_gives_its_step_behind_its_name() -> None:
    run = run_of(
        "".join(
            f"iter {s:5} | loss {3 - s / 100} | lr 2e-3 | {s}s\n"
            + (f"  eval {s}: train 2.4 | val 2.5 | 3.6067 bpc\n" if s % 20 == 0 else "")
            for s in range(10, 50, 10)
        )
    )
    assert points(run, "val/loss") == [(20, 2.5), (40, 2.5)]
    assert points(run, "val/bpc") == [(20, 3.6067), (40, 3.6067)]
    assert len(run["loss"]) == 4


def test_terms_of_a_loss_keep_their_names() -> None:
    run = run_of("".join(f"Epoch {e}: CTC Loss: 1.5, Aux Loss: 0.25, Total Loss: {4 - e}.5\n" for e in (1, 2, 3)))
    assert points(run, "loss") == [(1, 3.5), (2, 2.5), (3, 1.5)]
    assert points(run, "CTC Loss") == [(1, 1.5), (2, 1.5), (3, 1.5)]
    assert points(run, "Aux Loss") == [(1, 0.25), (2, 0.25), (3, 0.25)]


def test_times_that_end_alike_are_parts_of_a_step() -> None:
    run = run_of(
        "".join(f"Step {k} | loss: 2.5 | Data dt: 18.5 | Forward dt: 9.25 | Backward dt: 17.0\n" for k in (5, 10, 15))
    )
    assert "step_time_s" not in run
    assert points(run, "Data dt") == [(5, 18.5), (10, 18.5), (15, 18.5)]
    alone = run_of("".join(f"Step {k} | loss: 2.5 | Train dt: 18.5\n" for k in (5, 10, 15)))
    assert len(alone["step_time_s"]) == 3


def test_the_only_loss_of_a_line_is_the_loss_whatever_stands_before_it() -> None:
    assert points(run_of("".join(f"step {s} denoiser loss: {s}.5\n" for s in (1, 2, 3))), "loss")[0] == (1, 1.5)


def test_an_auxiliary_loss_on_a_line_of_its_own_is_not_the_loss() -> None:
    run = run_of("".join(f"step {s} loss: {s}.5\nstep {s} aux loss: 0.01\n" for s in (1, 2, 3)))
    assert points(run, "loss") == [(1, 1.5), (2, 2.5), (3, 3.5)]


def test_a_term_in_a_section_belongs_to_its_set() -> None:
    run = run_of(
        "".join(
            f"Finished Epoch[{e}]: [Training Set] Train Loss Per Sample = 6.{e}  EvalErr Per Sample = 0.9\n"
            f"Finished Epoch[{e}]: [Validation Set] Train Loss Per Sample = 7.{e}  EvalErr Per Sample = 0.8\n"
            for e in (1, 2, 3)
        )
    )
    assert points(run, "loss") == [(1, 6.1), (2, 6.2), (3, 6.3)]
    assert points(run, "val/loss") == [(1, 7.1), (2, 7.2), (3, 7.3)]
    assert {value for _, value in points(run, "EvalErr Per Sample")} == {0.9}


@pytest.mark.parametrize("name", ["evl", "dev", "valid", "evaluation", "validation", "holdout", "heldout", "held-out"])
def test_the_name_of_a_set_before_its_numbers(name: str) -> None:
    run = run_of(
        "".join(
            f"epoch {e} >>>>>>>>>>>\ntraining set : loss 2.{e}, acc 0.5\n{name} set : loss 3.{e}, acc 0.4\n\n"
            for e in (1, 2, 3)
        )
    )
    assert points(run, "loss") == [(1, 2.1), (2, 2.2), (3, 2.3)]
    assert points(run, "val/loss") == [(1, 3.1), (2, 3.2), (3, 3.3)]
    assert points(run, "val/accuracy") == [(1, 0.4), (2, 0.4), (3, 0.4)]


def test_accuracies_of_training_stand_behind_losses_of_both_sets() -> None:
    run = run_of(
        "".join(f"Epoch {e} | Train Loss 2.{e} | Val Loss 3.{e} | Train Acc 0.5 | Val Acc 0.4\n" for e in range(3))
    )
    assert {v for _, v in points(run, "accuracy")} == {0.5}
    assert {v for _, v in points(run, "val/accuracy")} == {0.4}


def test_two_accuracies_of_each_set() -> None:
    run = run_of(
        "".join(
            f"Epoch {e} | Train Loss: 4.5 | Token Acc: 0.5 | Seq Acc: 0.1 | Val Loss: 4.7 | Token Acc: 0.4 | Seq Acc: 0.{e}\n"
            for e in (1, 2, 3)
        )
    )
    assert run["accuracy"].values.tolist() == [0.5] * 3
    assert run["val/accuracy"].values.tolist() == [0.4] * 3
    assert run["Seq Acc"].values.tolist() == [0.1] * 3
    assert run["val/Seq Acc"].values.tolist() == [0.1, 0.2, 0.3]


def test_a_column_called_loss_is_the_loss() -> None:
    run = run_of(
        "".join(f"step {s}: train loss 4.5 | val loss 4.7\niter {s}: loss 5.{s}, lr 1e-3\n" for s in (1, 2, 3))
    )
    assert points(run, "loss") == [(1, 5.1), (2, 5.2), (3, 5.3)]
    assert run["train loss"].values.tolist() == [4.5] * 3


def test_an_accuracy_on_a_set_is_no_loss_of_it() -> None:
    run = run_of(
        "".join(f"Iteration {s} | Loss = {4 - s} | Accuracy = 0.{s}\n" for s in (1, 2, 3))
        + "Accuracy on test set: 0.75\n"
    )
    assert points(run, "test/accuracy") == [(3, 0.75)]
    assert "test/loss" not in run


def test_lines_below_a_record_continue_it() -> None:
    run = run_of(
        "".join(
            f"Step {s} | Loss: 5.{s} | LR: 3e-4\n         | GradNorm: 1.{s} | Tok/s: 900\n         [VAL] Val Loss: 6.{s}\n"
            for s in (1, 2, 3)
        )
    )
    assert points(run, "grad_norm") == [(1, 1.1), (2, 1.2), (3, 1.3)]
    assert points(run, "tokens_per_sec") == [(1, 900), (2, 900), (3, 900)]
    assert points(run, "val/loss") == [(1, 6.1), (2, 6.2), (3, 6.3)]


def test_means_printed_below_each_epoch_are_part_of_the_curve() -> None:
    run = run_of(
        "".join(
            f"Epoch {e}/3\n"
            + "".join(f"  Batch {b}/40: Loss={5 - e}.{b}\n" for b in (20, 40))
            + f"  Average Loss: {5 - e}.25\n"
            for e in (1, 2, 3)
        )
        + "Training completed!\n"
    )
    assert [s for s, _ in points(run, "loss")] == [20, 40, 60, 80, 100, 120]
    assert points(run, "Average Loss") == [(40, 4.25), (80, 3.25), (120, 2.25)]
    assert [(e.kind, e.step) for e in run.events] == [("end", 120)]


def test_one_step_an_epoch_is_counted_by_its_epoch() -> None:
    run = run_of(
        "".join(f"Epoch {e}\n  Step 0: loss=3.{e}\nEpoch {e} Summary:\n  Val Loss:   4.{e}\n" for e in (1, 2, 3))
    )
    assert [v for _, v in points(run, "loss")] == [3.1, 3.2, 3.3]
    assert [v for _, v in points(run, "val/loss")] == [4.1, 4.2, 4.3]
    assert run["loss"].steps.tolist() == [0, 1, 2]


def test_a_line_that_closes_an_epoch_numbers_the_records_above_it() -> None:
    run = run_of(
        "".join(
            f"Step {s}, Loss: 2.{s}\n" + (f"Epoch {s // 2} completed. Average loss: 3.0\n" if s % 2 == 0 else "")
            for s in range(1, 8)
        )
    )
    assert points(run, "epoch") == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]


def test_sets_that_the_counter_is_named_after() -> None:
    run = run_of(
        "".join(
            "".join(f"TRAIN Batch {b:04}/1000, Loss    {6 - e}.{b // 100}\n" for b in (400, 800))
            + f"TRAIN Epoch {e:02}/2, Mean Loss: {6 - e}.25, PPL: 90.5\n"
            + f"VALID Batch 0040/50, Loss    9.9\nVALID Epoch {e:02}/2, Mean Loss: {7 - e}.25, PPL: 80.5\n"
            for e in (0, 1)
        )
    )
    assert points(run, "loss") == [(400, 6.4), (800, 6.8), (1400, 5.4), (1800, 5.8)]
    assert points(run, "val/loss") == [(1000, 7.25), (2000, 6.25)]
    assert points(run, "ppl") == [(1000, 90.5), (2000, 90.5)]


def test_training_numbers_stand_in_lines_of_evaluations() -> None:
    run = run_of(
        "".join(
            f"step {s} | loss 3.{s % 9} | lr 0.1\n"
            + (f"[eval] step {s} | train 4.5 | dev 4.7 | masked_acc 0.25\n" if s % 40 == 0 else "")
            for s in range(10, 90, 10)
        )
    )
    assert points(run, "train/loss") == [(40, 4.5), (80, 4.5)]
    assert points(run, "val/loss") == [(40, 4.7), (80, 4.7)]
    assert points(run, "val/accuracy") == [(40, 0.25), (80, 0.25)]


def test_a_perplexity_behind_that_of_the_evaluation_is_of_training() -> None:
    run = run_of("".join(f"step={s}/9 loss=7.5 val_loss=7.75 val_ppl=2321.5 lr=1e-3 ppl=1808.0\n" for s in (1, 2, 3)))
    assert run["ppl"].values.tolist() == [1808.0] * 3
    assert run["val/ppl"].values.tolist() == [2321.5] * 3


def test_raw_and_smoothed_losses() -> None:
    run = run_of("".join(f"[diag] step {s} | raw_loss: 0.{s} | ema_loss: 0.75 | grad_norm: 0.5\n" for s in (1, 2, 3)))
    assert points(run, "loss") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert points(run, "ema_loss") == [(1, 0.75), (2, 0.75), (3, 0.75)]


def test_a_summary_counts_more_than_the_last_state_of_the_bar_above_it() -> None:
    run = run_of(
        "".join(
            f"Epoch {e}/3\nTraining: 100%|████| 250/250 [03:45<00:00, 1.11it/s, loss: 3.{e}]\nTrain Loss: 3.5\nVal Loss: 3.7\n"
            for e in (1, 2, 3)
        )
    )
    assert points(run, "loss") == [(250, 3.5), (500, 3.5), (750, 3.5)]
    assert points(run, "shown as loss") == [(250, 3.1), (500, 3.2), (750, 3.3)]
    assert set(run.series) == {"loss", "shown as loss", "val/loss", "epoch"}


def test_several_runs_of_epochs_in_one_log() -> None:
    lines = [f"{name} | Epoch {e}/3 | Train Loss {4 - e}.5\n" for name in ("small-4", "large-8") for e in (1, 2, 3)]
    runs = runs_of(Source("x.log", content="".join(lines).encode()))
    assert [points(run, "loss") for run in runs] == [[(1, 3.5), (2, 2.5), (3, 1.5)]] * 2


@pytest.mark.parametrize(
    ("prints", "metric", "values"),
    [
        ("time: {0}50.0ms", "step_time_s", [0.15, 0.25, 0.35]),
        ("time: {0}5.5", "elapsed_s", [15.5, 25.5, 35.5]),
        ("time: 8.5", "duration_s", [8.5, 8.5, 8.5]),
        ("time: 170000000{0}", "time", [1700000001, 1700000002, 1700000003]),
        ("time: {0}m 30s", "elapsed_s", [90, 150, 210]),
        ("Tokens / Sec:   {0}00.5", "tokens_per_sec", [100.5, 200.5, 300.5]),
        ("{0}00/70 tok/s", "tokens_per_sec", [70, 70, 70]),
        ("speed {0},000 tokens/sec", "tokens_per_sec", [1000, 2000, 3000]),
        ("|g| 0.{0}", "grad_norm", [0.1, 0.2, 0.3]),
        ("Time per epoch: 99.{0}5", "Time per epoch", [99.15, 99.25, 99.35]),
        ("heldout=4.{0}", "val/loss", [4.1, 4.2, 4.3]),
        ("held-out NLL: 4.{0}", "val/loss", [4.1, 4.2, 4.3]),
        ("val_ce 4.{0}", "val/loss", [4.1, 4.2, 4.3]),
        ("iter_dt {0}00.0ms", "step_time_s", [0.1, 0.2, 0.3]),
    ],
)
def test_spellings(prints: str, metric: str, values: list[float]) -> None:
    run = run_of("".join(f"step {s} | loss: 2.{s} | {prints.format(s)}\n" for s in (1, 2, 3)))
    assert run[metric].values.tolist() == pytest.approx(values)


def test_chinese_names() -> None:
    run = run_of(
        "".join(f"第 {e} 轮 完成 | 训练损失：4.{e} | 验证损失：5.{e} | 学习率：0.01 | 用时：3s\n" for e in (1, 2, 3))
    )
    assert points(run, "loss") == [(1, 4.1), (2, 4.2), (3, 4.3)]
    assert points(run, "val/loss") == [(1, 5.1), (2, 5.2), (3, 5.3)]
    assert run["lr"].values.tolist() == [0.01] * 3


def test_ranges_of_batches_within_numbered_epochs() -> None:
    run = run_of(
        "".join(
            f"(trainer:486) INFO: {e}epoch:train:{b - 49}-{b}batch: iter_time=0.01, loss=2.{e}, train_time=0.013\n"
            for e in (4, 5)
            for b in (50, 100)
        )
    )
    assert run["loss"].steps.tolist() == [350, 400, 450, 500]


def test_two_adversaries_are_two_losses() -> None:
    run = run_of(
        "".join(
            f"epoch: {e} \t discriminator last batch loss: 0.{e} \t generator last batch loss: 4.{e}\n"
            for e in (1, 2, 3)
        )
    )
    assert points(run, "discriminator last batch loss") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert points(run, "generator last batch loss") == [(1, 4.1), (2, 4.2), (3, 4.3)]
    assert "loss" not in run


def test_a_reward_alone_is_a_record_where_a_step_is_named() -> None:
    run = run_of("".join(f"Step {s}/800 | Avg Reward: {30 + s / 100}\n" for s in range(100, 900, 100)))
    assert run.objective == "reinforcement"
    assert points(run, "reward") == [(s, 30 + s / 100) for s in range(100, 900, 100)]


def test_losses_of_parts_are_columns_where_none_is_that_of_all() -> None:
    text = "".join(f"step {k}: loss_L {3 - k / 8} loss_H {2.5 - k / 8} lr 1e-4\n" for k in range(8))
    (log,) = read(Source("x.log", content=text.encode()))
    assert log.columns["loss_L"].values.tolist() == [3 - k / 8 for k in range(8)]
    assert log.columns["loss_H"].values.tolist() == [2.5 - k / 8 for k in range(8)]
    (run,) = runs_of(Source("x.log", content=text.encode()))
    assert "loss" not in run


def test_names_with_underscores_behind_their_numbers_and_a_count_of_words() -> None:
    lines = (
        f"{k}000400 words, 52.25 sec, 9000.5 words/sec, 2.75 run_loss/word, 2.{k} cur_loss/word\n" for k in (3, 4, 5)
    )
    run = run_of("".join(lines))
    assert points(run, "loss") == [(3000400, 2.3), (4000400, 2.4), (5000400, 2.5)]
    assert run.step_kind == "tokens"


@pytest.mark.parametrize(
    ("headline", "losses"),
    [
        ("('Epoch : ', {e}, ' batch : ', 90)", "('Losses', {{u'tagger': 4.{e}, u'parser': 0.5}})"),
        ("Epoch {e}", "Losses {{'tagger': 4.{e}, 'parser': 0.5}}"),
    ],
)
def test_losses_in_a_dictionary_that_was_printed_behind_a_word(headline: str, losses: str) -> None:
    run = run_of("".join(f"{headline}\n91it [00:30,  3.1it/s]\n{losses}\n".format(e=e) for e in (1, 2, 3, 4)))
    assert run["loss"].values.tolist() == [4.1, 4.2, 4.3, 4.4]
    assert run["Losses/parser"].values.tolist() == [0.5] * 4


def test_the_loss_is_the_one_that_the_perplexity_is_of() -> None:
    losses = [5.125, 5.25, 5.5, 5.75]
    lines = (f"step {s} recon loss: {v:.3f} ppl: {math.exp(v):.2f}, topic loss: 0.8{s}\n" for s, v in enumerate(losses))
    run = run_of("".join(lines))
    assert points(run, "topic loss") == [(s, float(f"0.8{s}")) for s in range(4)]
    assert points(run, "loss") == list(enumerate(losses))


def test_the_perplexity_of_a_term_does_not_make_it_the_loss_beside_a_total() -> None:
    lines = (f"step {s} loss: 7.{s}, recon loss: 5.{s} ppl: {math.exp(5 + s / 10):.2f}\n" for s in range(4))
    assert points(run_of("".join(lines)), "loss") == [(s, 7 + s / 10) for s in range(4)]


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("ep  tr_loss  va_loss  va_acc", "{e:>2}  3.{e}000  4.{e}000  0.{e}00"),
        ("Epoch  Train   Valid   LR      Time", "{e:>5}  3.{e}000  4.{e}000  2.0e-3  31.2s"),
        ("", "E00{e} tr=3.{e} va=4.{e}"),
        ("", "epoch {e} | tr loss 3.{e} | va loss 4.{e}"),
    ],
)
def test_short_words_for_training_and_validation(head: str, row: str) -> None:
    run = run_of("\n".join([head, *(row.format(e=e) for e in range(1, 9))]))
    assert points(run, "loss") == [(e, float(f"3.{e}")) for e in range(1, 9)]
    assert points(run, "val/loss") == [(e, float(f"4.{e}")) for e in range(1, 9)]


def test_a_record_in_capitals_is_of_the_same_columns() -> None:
    lines = [f"step {s} | loss 4.{s} | lr 0.00{s}" for s in range(1, 9)]
    run = run_of("\n".join([*lines[:4], lines[4].upper(), *lines[5:]]))
    assert points(run, "loss") == [(s, float(f"4.{s}")) for s in range(1, 9)]
    assert (set(run.series), len(run["lr"])) == ({"loss", "lr"}, 8)
