"""Prints that no format describes: tensors, brackets, boxes, several records on a line, lines below headlines."""

from __future__ import annotations

import math

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.text.record_lines import records_in
from lmdiag.run import Run
from lmdiag.sources.source import Source
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


def test_records_without_a_line_break() -> None:
    run = run_of("".join(f"Epoch {k}, Loss: {5 - k}.25" for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.25), (2, 3.25), (3, 2.25)]


@pytest.mark.parametrize(
    "piece",
    [
        "epoch 3 step 20 loss 2.5",
        "step 20 loss 2.5 | step 0.3s",
        "Epoch 5 loss 2.3 (best epoch 3)",
        "step 2 of step 9: x",
    ],
)
def test_one_record(piece: str) -> None:
    assert records_in(piece) == [piece]


def test_bars_on_one_line_and_cut_off_at_the_width_of_the_terminal() -> None:
    line = "Epoch 1: 100%|█| 25/25 [01:57<00:00, 0.21it/s, train_loss=0.548, acc=0.8"
    two = line + " " * 8 + line.replace("Epoch 1", "Epoch 2").replace("0.548", "0.412")
    assert points(run_of(two), "loss") == [(25, 0.548), (50, 0.412)]
    text = "".join(
        f"Epoch {e}: 100%|█| 25/25 [01:57<00:00, 0.2it/s, train_loss=0.{8 - e}5, acc=0.8\n" for e in range(3)
    )
    run = run_of(text)
    assert points(run, "loss") == [(25, 0.85), (50, 0.75), (75, 0.65)]
    assert "accuracy" not in run  # its digits may be cut off


def test_bars_of_epochs_far_apart() -> None:
    bars = (
        "Epoch 0: 3%|▎ | 2/58 [00:07<03:28, 3.7s/it, loss=0.6]\nEpoch 7: 5%|▌ | 3/58 [00:08<02:34, 2.8s/it, loss=0.1]"
    )
    assert points(run_of(bars), "loss") == [(2, 0.6), (7 * 58 + 3, 0.1)]


def test_losses_of_several_ranks() -> None:
    ranks = "".join(
        f"Epoch {k}/3\n" + "".join(f"Rank {r} | Epoch Loss: {k}.{r}5\n" for r in (1, 0, 2)) for k in (1, 2, 3)
    )
    assert points(run_of(ranks), "loss") == [(1, 1.05), (2, 2.05), (3, 3.05)]


def test_short_names_are_guessed_and_said() -> None:
    run = run_of("\n".join(f"it={k} L={5 - k / 4}" for k in range(5)))
    assert points(run, "loss")[:2] == [(0, 5.0), (1, 4.75)]
    assert any('"L" was taken for it' in note for note in run.notes)


def test_times_and_costs_of_batches_are_no_loss() -> None:
    line = "epoch:{k} train step:{k}00 loss: 4.{k} batch_cost: 3.44 sec, reader_cost: 3.01 sec"
    run = run_of("\n".join(line.format(k=k) for k in (1, 2, 3)))
    assert points(run, "loss") == [(100, 4.1), (200, 4.2), (300, 4.3)]


def test_iterations_that_count_epochs() -> None:
    run = run_of(
        "".join(f"log\\train.log - iteration:{e} step:{s}/29, NER loss: {9 - e}.5\n" for e in (1, 2) for s in (10, 20))
    )
    assert points(run, "loss") == [(10, 8.5), (20, 8.5), (39, 7.5), (49, 7.5)]


def test_layers_are_no_loss() -> None:
    with pytest.raises(UnreadableLog):
        run_of("\n".join(f"it={k} L=12" for k in range(5)))


def test_a_growing_count_is_guessed_to_be_the_step_and_said() -> None:
    run = run_of("\n".join(f"INFO:root:count: {k * 50}, loss:{5 - k / 4}" for k in range(5)))
    assert run["loss"].steps.tolist() == [0, 50, 100, 150, 200]
    assert any('"count" grows' in note for note in run.notes)


def test_speeds_in_thousands_in_front_of_their_unit() -> None:
    run = run_of("\n".join(f"step {k}0 | loss 4.{k} | grad 0.8{k} | 37.2k tok/s | mfu 31.0%" for k in range(4)))
    assert run["tokens_per_sec"].values.tolist() == [37200.0] * 4
    assert run["grad_norm"].values.tolist() == [0.80, 0.81, 0.82, 0.83]


ROWS = "".join(f"| {k} | {5 - k / 4:.3f} | {5.5 - k / 4:.3f} |\n" for k in (1, 2, 3))


TABLES = (
    "# Results\n\n| Epoch | Train Loss | Val Loss |\n|-------|:---:|---:|\n" + ROWS,
    "+---+---+---+\n| Epoch | Train Loss | Val Loss |\n+---+---+---+\n" + ROWS.replace("\n", "\n+---+---+---+\n"),
    ("┏━━━┳━━━┓\n┃ Epoch ┃ Train Loss ┃ Val Loss ┃\n┡━━━╇━━━┩\n" + ROWS.replace("|", "│") + "└───┴───┘\n"),
)


@pytest.mark.parametrize("text", TABLES)
def test_tables_between_bars(text: str) -> None:
    run = run_of(text, "notes.md")
    assert run.step_kind == "epoch"
    assert points(run, "loss") == [(1, 4.75), (2, 4.5), (3, 4.25)]
    assert points(run, "val/loss") == [(1, 5.25), (2, 5.0), (3, 4.75)]


def test_a_table_of_a_model_card() -> None:
    head = "text\n\n| Training Loss | Epoch | Step | Validation Loss | Accuracy |\n|:--:|:--:|:--:|:--:|:--:|\n"
    rows = (
        "| No log | 0.5 | 50 | 2.75 | 25.0% |\n| 2.25 | 1.0 | 100 | 2.5 | 50.0% |\n| 2.0 | 1.5 | 150 | 2.4 | 55.0% |\n"
    )
    run = run_of(head + rows, "README.md")
    assert points(run, "loss") == [(100, 2.25), (150, 2.0)]
    assert points(run, "val/accuracy" if "val/accuracy" in run else "accuracy")[0] == (50, 0.25)
    assert run["epoch"].values.tolist() == [0.5, 1.0, 1.5]


def test_two_tables_are_two_runs() -> None:
    text = "\nThe larger model:\n\n".join(
        "| Epoch | Train Loss |\n|---|---|\n| 1 | 4.5 |\n| 2 | 4.25 |\n" for _ in range(2)
    )
    runs = runs_of(Source("notes.md", content=text.encode()))
    assert [points(run, "loss") for run in runs] == [[(1, 4.5), (2, 4.25)]] * 2


NOT_LOGS = {
    "README.md": "| Round | val loss | Elo | Decision |\n|---|---|---|---|\n| 1 | 1.1 | 1183 | kept |\n| 2 | 1.2 | 1552 | kept |\n",
    "shop.csv": "order_id,product,quantity,price,profit,loss\n1,pen,3,1.20,0.40,0.0\n2,ink,1,4.20,1.40,0.1\n",
    "net.txt": "12:00:00 | Download: 506.7 Mbit/s | Ping: 28.9 ms | Packet loss: 1.2%\n" * 4,
    "tests.txt": "tests/test_loss.py::test_epoch_1 PASSED [ 33%]\nFAILED test_loss - assert 2.5 == 2.4\n",
    "runs.out": "{'train_runtime': 11.2, 'train_loss': 1.52, 'epoch': 1.0}\n100% 8/8 [00:11<00:00]\n" * 4,
    "loop.py": "".join(f"epoch {k} loss 2.{9 - k}\n" for k in range(5)),
    "frames.md": "".join(f"- Frame {k}: loss 3.09{k} -> 1.55{k}\n" for k in range(4)),
}


@pytest.mark.parametrize("name", NOT_LOGS)
def test_what_is_no_log_is_refused(name: str) -> None:
    with pytest.raises(UnreadableLog):
        runs_of(Source(name, content=NOT_LOGS[name].encode()))


def test_a_crash_behind_a_progress_bar_is_told() -> None:
    lines = [f"{{'loss': '{3 - k / 10:.2f}', 'grad_norm': '1.5', 'epoch': '{k / 10}'}}" for k in range(1, 9)]
    bar = " 40%|####      | 8/20 [00:01<00:01, 8.0it/s]Traceback (most recent call last):"
    trace = ['  File "train.py", line 3, in <module>', "RuntimeError: no more memory for the cache"]
    loading = "Loading weights: 100%|##########| 27/27 [00:00<00:00, 13627.01it/s]"
    run = run_of("\n".join([loading, *lines, bar, *trace]))
    assert run.config["max_steps"] == 20
    assert [event.message for event in run.events if event.kind == "exception"] == [trace[-1]]
    assert not run.complete


def test_one_loss_a_line() -> None:
    run = run_of("".join(f"{3 - k / 20:.4f}\n" for k in range(20)))
    assert (run.step_kind, len(run["loss"]), run["loss"].values[0]) == ("record", 20, 3.0)


def test_whole_numbers_alone_are_no_losses() -> None:
    with pytest.raises(UnreadableLog):
        run_of("".join(f"{k * 3}\n" for k in range(30)))


def test_bits_per_character_behind_the_loss_are_its_unit() -> None:
    run = run_of("".join(f"iter {k * 10}: loss {6 - k / 10:.2f} BPC, time 260ms\n" for k in range(8)))
    assert run["loss"].values[0] == pytest.approx(6 * math.log(2))


def test_a_few_lines_of_a_known_format_do_not_hide_the_others() -> None:
    text = "".join(f"it {k} | lm loss 7.{k % 10} | lr 1e-4 | step {k}\n" for k in range(1, 60))
    text += "".join(
        f"validation loss at iteration {k} | lm loss value: 7.5E+00 | lm loss PPL: 1.8E+03 |\n" for k in (20, 40)
    )
    run = run_of(text)
    assert len(run["loss"]) == 59
    assert points(run, "val/loss") == [(20, 7.5), (40, 7.5)]


@pytest.mark.parametrize("zeros", [1, 5000])
def test_zeros_before_the_text_of_a_file_that_was_cut(zeros: int) -> None:
    run = run_of("\0" * zeros + "".join(f"step {k} loss 2.{k} lr 0.5\n" for k in range(1, 9)))
    assert len(run["loss"]) == 8


def test_zeros_amid_the_text_of_a_file_that_was_emptied() -> None:
    text = "".join(f"step {k} loss 2.{k:02} lr 0.5\n" for k in range(1, 40))
    half = text.index("step 20 ")
    run = run_of(text[:half] + "\0" * 3000 + text[half:])
    assert len(run["loss"]) == 39


def test_one_dictionary_at_the_end_does_not_hide_the_lines_above() -> None:
    text = "".join(f"INFO [trainer] step {k}/400 loss={3 - k / 200} learning_rate=1e-05\n" for k in range(20, 401, 20))
    run = run_of(text + "INFO dev: {'eval_loss': 1.25, 'eval_accuracy': 0.75, 'eval_runtime': 114.2, 'epoch': 2.0}\n")
    assert points(run, "loss")[:2] == [(20, 2.9), (40, 2.8)]


@pytest.mark.parametrize("mark", ["#", "# ", ""])
def test_heads_behind_the_mark_of_a_comment(mark: str) -> None:
    run = run_of(f"{mark}epoch train_loss val_loss\n" + "".join(f"{k} 3.{9 - k} 3.{k}\n" for k in range(8)))
    assert points(run, "loss")[:2] == [(0, 3.9), (1, 3.8)]
    assert points(run, "val/loss")[:2] == [(0, 3.0), (1, 3.1)]


def test_terms_of_the_loss_are_no_evaluation_sets() -> None:
    line = "Epoch {e}, batch {b}, loss=2.{e}, simple_loss=3.{e}, lr: 0.1\n"
    text = "".join(
        "".join(line.format(e=e, b=b) for b in (0, 50)) + f"Epoch {e}, validation: loss=4.{e}, simple_loss=5.{e}\n"
        for e in range(4)
    )
    run = run_of(text)
    assert list(run.evaluations) == ["val"]
    assert run["val/simple_loss"].values.tolist() == [5.0, 5.1, 5.2, 5.3]


def test_the_mean_of_the_ranks_is_the_loss() -> None:
    text = "".join(
        "".join(f"[rank:  {r}] step {k} local_loss {9 - k}.{r}\n" for r in range(4)) + f"step {k} loss {9 - k}.15\n"
        for k in range(1, 8)
    )
    assert points(run_of(text), "loss") == [(k, 9 - k + 0.15) for k in range(1, 8)]


def test_a_score_that_rises_is_no_loss() -> None:
    line = "step {k} loss {a}\nScore at iteration {k} is {b}\n"
    run = run_of("".join(line.format(k=k, a=4.5 - k / 10, b=0.5 + k / 100) for k in range(1, 9)))
    assert points(run, "loss") == [(k, 4.5 - k / 10) for k in range(1, 9)]


def test_the_mean_beside_the_sum_is_the_loss() -> None:
    run = run_of("".join(f"step {k} loss(sum) {1267 - k} loss(mean) 3.9{k}\n" for k in range(1, 9)))
    assert run["loss"].values.tolist() == [float(f"3.9{k}") for k in range(1, 9)]
    assert run["loss_sum"].values.tolist() == [1267 - k for k in range(1, 9)]


def test_names_in_brackets_before_prose_are_no_losses() -> None:
    run = run_of("[loss] 3 heads configured\n" + "".join(f"step {k} loss 3.{k}\n" for k in range(1, 9)))
    assert len(run["loss"]) == 8
    assert run.events == ()


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


def test_numbers_without_a_name_are_counted() -> None:
    text = "".join(f"step {k} loss {9 - k / 20} \u00b1 0.25 [0.5, nan] lr 0.5\n" for k in range(1, 601))
    (dropped,) = run_of(text).account.dropped
    assert (dropped.line, dropped.count, dropped.unit) == (1, 1800, "value")


def test_a_short_name_of_a_loss_that_is_infinite_throughout() -> None:
    run = run_of("".join(f"it={10 * k} L=inf G=nan\n" for k in range(1, 21)))
    assert points(run, "loss") == [(10 * k, math.inf) for k in range(1, 21)]


def test_a_line_with_a_loss_that_cannot_be_told_is_counted() -> None:
    lines = [
        f"step {k}: loss {9 - k / 20}\nTestverlust bis Schritt {k}: {10 - k / 20}\n[{k / 4}%] step {k} saved\n"
        for k in range(1, 25)
    ]
    (dropped,) = run_of("".join(lines)).account.dropped
    assert (dropped.line, dropped.count, dropped.unit) == (2, 24, "value")


def test_batches_are_counted_beside_losses_of_names_of_their_own() -> None:
    run = run_of("".join(f"batch: {k}, GD_loss: {9 - k / 8}, RD_loss: 7.5, combined_loss: nan, \n" for k in range(8)))
    assert run["GD_loss"].steps.tolist() == list(range(8))
    assert [math.isnan(value) for _, value in points(run, "loss")] == [True] * 8
    with pytest.raises(UnreadableLog):
        run_of("batch: 32, accuracy_of: 0.5\n" * 8)


def test_a_single_record_whose_loss_is_not_a_number() -> None:
    run = run_of("Step 1000/900000, Total Loss: nan, Mel Loss: nan, Duration Loss: nan\n")
    assert [(step, math.isnan(value)) for step, value in points(run, "loss")] == [(1000, True)]
    with pytest.raises(UnreadableLog):
        run_of("Step 1000/900000, Total Loss: 2.5, Mel Loss: 1.5, Duration Loss: 1.0\n")


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


def test_a_part_that_stops_being_finite_stands_for_a_total_that_is_not_logged() -> None:
    def log(broken: int, count: int = 8) -> Run:
        parts = [(0.05 - i / 1000, math.nan if i >= broken else 0.5 - i / 100) for i in range(count)]
        return run_of(
            "".join(
                f"(Step: {200 * i}) train_duration_loss = {a:.4f}.\n(Step: {200 * i}) train_mel_loss_before = {b:.4f}.\n"
                for i, (a, b) in enumerate(parts)
            )
        )

    assert [math.isnan(value) for _, value in points(log(5), "loss")] == [False] * 5 + [True] * 3
    assert "loss" not in log(8).series
    assert points(log(8), "train_mel_loss_before")[0] == (0, 0.5)


def test_messages_of_an_overflow_keep_the_scale_that_they_leave() -> None:
    records = "".join(f"step {i} loss {2.5 - i / 100:.3f} loss_scale 0.5\n" for i in range(1, 9))
    run = run_of(
        records + "".join(f"WARNING: overflow detected, setting loss scale to: {0.25 / 2**k}\n" for k in range(9))
    )
    told = [(event.step, event.fields["loss_scale"]) for event in run.events if event.kind == "skipped_step"]
    assert told == [(8, 0.25 / 2**k) for k in range(9)]
    assert points(run, "loss_scale")[-1] == (8, 0.5)


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


def test_clocks_of_minutes_are_no_numbers() -> None:
    run = run_of("".join(f" {k}/102 [=>....] - ETA: {20 - k}:24 - loss: {1 - k / 64}\n" for k in range(1, 9)))
    assert {*run.series} == {"loss"}
    assert points(run, "loss")[-1] == (8, 0.875)
    assert {
        *run_of("".join(f"step {k} | loss {9 - k} | elapsed 0{k}:30 | ETA 12:0{k}\n" for k in range(1, 6))).series
    } == {"loss"}


def test_an_excerpt_of_a_later_epoch_plans_nothing() -> None:
    line = "epoch {e}/10 | {k}/17104 batches | loss 2.{k}\n"
    assert "max_steps" not in run_of("".join(line.format(e=10, k=k) for k in range(12500, 13500, 100))).config
    assert run_of("".join(line.format(e=1, k=k) for k in range(12500, 13500, 100))).config["max_steps"] == 171040


def test_a_loss_that_says_after_what_it_was_measured() -> None:
    lines = [f"2025-09-29 20:1{k}:01,559 backprop done, loss after forward pass = {2 - k / 8}\n" for k in range(8)]
    assert points(run_of("".join(lines)), "loss") == [(k + 1, 2 - k / 8) for k in range(8)]


@pytest.mark.parametrize("other", ["loss during validation", "loss after masking"])
def test_another_loss_of_the_line_keeps_its_name(other: str) -> None:
    run = run_of("".join(f"epoch {k} loss: {9 - k / 8}, {other}: {9.5 - k / 8}\n" for k in range(1, 20)))
    assert run["loss"].values[-1] == 9 - 19 / 8
    assert len(run[other]) == 19


def test_a_traceback_that_lost_its_line_breaks() -> None:
    frames = "".join(f'  File "/src/a{k}.py", line {k}, in f{k}    g{k}(x)' for k in range(1, 4))
    text = (
        "".join(f"step {k} loss {3 - k / 8}\n" for k in range(1, 6))
        + f'Traceback (most recent call last):\n{frames}    raise RuntimeError("loss = NaN")RuntimeError: loss = NaN\n'
    )
    run = run_of(text)
    assert points(run, "loss") == [(k, 3 - k / 8) for k in range(1, 6)]
    assert [(event.kind, event.message) for event in run.events][:1] == [("exception", "RuntimeError: loss = NaN")]


@pytest.mark.parametrize("measure", ["WER", "CER"])
def test_the_average_of_an_evaluation_is_of_the_evaluation(measure: str) -> None:
    run = run_of(
        "".join(f"Epoch: {k} Average Loss: {9 - k} Average Validation {measure}: 9{k}.5%\n" for k in range(1, 6))
    )
    assert points(run, f"val/{measure}") == [(k, 90.5 + k) for k in range(1, 6)]
