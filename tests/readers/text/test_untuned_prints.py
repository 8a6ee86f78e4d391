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


def test_layers_are_no_loss() -> None:
    with pytest.raises(UnreadableLog):
        run_of("\n".join(f"it={k} L=12" for k in range(5)))


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


def test_a_single_record_whose_loss_is_not_a_number() -> None:
    run = run_of("Step 1000/900000, Total Loss: nan, Mel Loss: nan, Duration Loss: nan\n")
    assert [(step, math.isnan(value)) for step, value in points(run, "loss")] == [(1000, True)]
    with pytest.raises(UnreadableLog):
        run_of("Step 1000/900000, Total Loss: 2.5, Mel Loss: 1.5, Duration Loss: 1.0\n")


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


def test_clocks_of_minutes_are_no_numbers() -> None:
    run = run_of("".join(f" {k}/102 [=>....] - ETA: {20 - k}:24 - loss: {1 - k / 64}\n" for k in range(1, 9)))
    assert {*run.series} == {"loss"}
    assert points(run, "loss")[-1] == (8, 0.875)
    assert {
        *run_of("".join(f"step {k} | loss {9 - k} | elapsed 0{k}:30 | ETA 12:0{k}\n" for k in range(1, 6))).series
    } == {"loss"}


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
