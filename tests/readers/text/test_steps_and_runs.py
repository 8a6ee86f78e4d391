"""Counters that start again, ranks, several runs in one log, crashes, and patterns of the user."""

import math

import pytest

from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.gather import runs_in
from lmdiag.judging.reading import runs_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text import FORMATS, read, read_pattern
from lmdiag.readers.text.reading import read_blocks
from lmdiag.sources.source import Source


def read_text(text: str) -> list[RawLog]:
    """Read the runs of a text."""
    return read(Source("x.log", content=text.encode()))


def steps(log: RawLog) -> list[float]:
    return log.columns["step"].values.tolist()


def test_step_and_epoch_make_one_count() -> None:
    (log,) = read_text("".join(f"Epoch {e} Step {s} loss {9 - e - s / 100}\n" for e in (1, 2) for s in (10, 20, 30)))
    assert steps(log) == [10, 20, 30, 40, 50, 60]


def test_global_steps_are_left_alone() -> None:
    (log,) = read_text("".join(f"Epoch {s // 3} Step {s * 10} loss 2.{s}\n" for s in range(6)))
    assert steps(log) == [0, 10, 20, 30, 40, 50]


def test_a_step_of_all_beside_that_of_the_epoch() -> None:
    text = "".join(
        f"Ep {1 + s // 4}/10 Gstep {50 * s} Step {50 * (s % 4) + 7}: Loss= 0.{60 - s}\n" for s in range(1, 9)
    )
    (log,) = read_text(text)
    assert steps(log) == [50 * s for s in range(1, 9)]


def test_an_evaluation_behind_its_epoch_stands_at_its_end() -> None:
    text = "".join(
        f"Epoch [{e}/2], Step [{s}/40], Loss: 2.{s}\n" + ("" if s < 30 else f"Epoch {e}: val loss 2.5\n")
        for e in (1, 2)
        for s in (15, 30)
    )
    (log,) = read_text(text)
    assert steps(log) == [15, 30, 40, 55, 70, 80]


@pytest.mark.parametrize(
    ("place", "planned"),
    [
        ("Epoch [1/10], Step [{s}/938], ", 9380),
        ("Epoch [1], Step [{s}/938], ", None),
        ("Epoch: [0/90][{s:4d}/938] ", 84420),
        ("Epoch: [0][{s:4d}/938] ", None),
        ("2026-01-02 10:11:12 - mmengine - INFO - Epoch(train) [1][{s}/938] ", None),
        ("Epoch [1/1], Step [{s}/938], ", 938),
        ("Step [{s}/938], Epoch 1, ", 938),
        ("Step {s}/938 epoch 0.{s} ", 938),
        ("Epoch 1/3:  10%|█  | {s}/938 [00:01<00:03, 5.1it/s, ", 2814),
    ],
)
def test_the_steps_of_an_epoch_are_not_those_of_the_run(place: str, planned: int | None) -> None:
    lines = [f"{place.format(s=s)}loss: {4 - s / 300:.4f}" for s in range(100, 900, 100)]
    (log,) = read_text("".join(f"{line}]\n" if "|" in line else f"{line}\n" for line in lines))
    assert steps(log) == [*range(100, 900, 100)]
    assert log.config.get("max_steps") == planned


def test_runs_of_one_epoch_are_told_apart() -> None:
    run = "".join(f"Epoch: [0][{s:4d}/40] Loss {4 - s / 20:.2f}\n" for s in range(40))
    assert [log.n_rows for log in read_text(run * 2)] == [40, 40]


@pytest.mark.parametrize(
    "place", ["epoch {e} step {s}/100", "=== Epoch {e}, Iteration {s} ===", "Train Epoch {e}/2 | batch {s}/100"]
)
@pytest.mark.parametrize("below", ["loss {loss}", "  loss: {loss}\n  acc: 0.5", "\ntrain loss: {loss}\nval loss: 3.5"])
def test_a_place_stands_on_the_line_above_its_losses(place: str, below: str) -> None:
    text = "".join(
        f"{place.format(e=e, s=s)}\n{below.format(loss=f'{5 - e - s / 100:.2f}')}\n"
        for e in (1, 2)
        for s in range(10, 101, 10)
    )
    (log,) = read_text(text)
    (loss,) = (column for name, column in log.columns.items() if name in ("loss", "train loss"))
    assert log.columns["step"].values[loss.rows].tolist() == [*range(10, 201, 10)]
    assert loss.values.tolist() == pytest.approx([5 - e - s / 100 for e in (1, 2) for s in range(10, 101, 10)])


def test_losses_without_any_place_are_counted() -> None:
    (log,) = read_text("".join(f"Train Loss: {5 - k}.5 - Train Perplexity: 90.0\n" for k in range(4)))
    assert log.step_kind == "record"
    assert log.n_rows == 4


def test_results_beside_a_curve_are_no_points() -> None:
    (log,) = read_text(
        "".join(f"step {s} val loss 2.{s}\n" for s in range(5)) + "val loss: 1.9 with the averaged weights\n"
    )
    assert len(log.columns["val loss"].values) == 5
    assert any(event.kind == "final_evaluation" for event in log.events) or any(
        "without a step" in n for n in log.notes
    )


def test_lowest_rank_with_a_loss_stays() -> None:
    text = "".join(f"[rank{r}]: step {s} loss {s}.{r}\n" for s in range(1, 5) for r in (2, 1))
    (log,) = read_text(text)
    assert log.columns["loss"].values.tolist() == [1.1, 2.1, 3.1, 4.1]
    assert any("other ranks" in note for note in log.notes)


def test_runs_one_after_the_other_are_told_apart() -> None:
    run = "".join(f"step:{s}/3 train_loss:{4 - s}.0 train_time:{s}ms\n" for s in range(1, 4))
    logs = read_text(run * 2)
    assert [log.name for log in logs] == ["x.log#1", "x.log#2"]
    assert [steps(log) for log in logs] == [[1, 2, 3], [1, 2, 3]]


def test_a_resumed_run_stays_one() -> None:
    text = "".join(f"step:{s}/9 train_loss:4.{s} train_time:1ms\n" for s in (1, 2, 3, 4, 3, 4, 5))
    assert len(read_text(text)) == 1


def test_wallclock_stop_is_no_crash() -> None:
    (log,) = read_text(
        "".join(f"step:{s}/900 train_loss:4.0 train_time:1ms\n" for s in range(1, 5))
        + "stopping_early: wallclock_cap step:4/900\n"
    )
    assert [(e.kind, e.step, e.fields["status"]) for e in log.events] == [("end", 4, "completed")]


def test_an_end_that_records_follow_is_none() -> None:
    line = "step:{}/900 train_loss:4.0 train_time:1ms\n"
    (log,) = read_text(line.format(1) + "Total training time: 3s\n" + "".join(line.format(s) for s in (2, 3, 4)))
    assert log.events == ()


def test_many_events_of_one_kind_are_counted() -> None:
    (log,) = read_text("".join(f"step {s} loss 2.5\nOVERFLOW! Rank 0 Skipping step.\n" for s in range(700)))
    assert sum(event.kind == "skipped_step" for event in log.events) == 500
    assert any("700 events" in note for note in log.notes)


def test_hugging_face_steps_from_epochs() -> None:
    head = "  Num Epochs = 2\n  Total optimization steps = 400\n"
    (log,) = read_text(head + "".join(f"{{'loss': 2.{k}, 'epoch': {k * 0.25:.2f}}}\n" for k in range(1, 8)))
    assert steps(log) == [50, 100, 150, 200, 250, 300, 350]
    assert any("inferred" in note for note in log.notes)
    assert not log.events  # it is no event of the training


def test_pattern_of_the_user() -> None:
    source = Source("x.log", content=b"at 10: L=2.5\nat 20: L=nan\nnothing\n")
    (log,) = read_pattern(source, r"at (?P<step>\d+): L=(?P<loss>\S+)")
    assert steps(log) == [10, 20]
    assert log.columns["loss"].values[0] == 2.5


@pytest.mark.parametrize("pattern", ["(?P<loss", r"loss (\d+)"])
def test_useless_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(BadSetting):
        read_pattern(Source("x.log", content=b"loss 2"), pattern)


def test_pattern_without_a_match_is_told() -> None:
    with pytest.raises(UnreadableLog):
        read_pattern(Source("x.log", content=b"loss 2"), r"(?P<loss>\d+) lost")


def test_a_format_can_be_asked_for() -> None:
    text = b"step 1: train loss 2.0, val loss 2.1\niter 1: loss 2.0, time 5.0ms, mfu 1.00%\n"
    (log,) = read_blocks(FORMATS["nanogpt"], "x.log", [text.decode()])
    assert log.format == "nanogpt"
    with pytest.raises(UnreadableLog):
        read_blocks(FORMATS["megatron"], "x.log", [text.decode()])


def test_an_early_stop_ends_a_run_and_its_settings_do_not() -> None:
    one = "".join(
        f"Epoch {e} | Train Loss: {4 - e / 10} | Val Loss: 3.5\n  >> Early stopping patience: 2\n" for e in (1, 2, 3)
    )
    logs = read_text(one + "Early stopping triggered.\nTraining on cpu\n" + one)
    assert [steps(log) for log in logs] == [[1, 2, 3], [1, 2, 3]]
    assert [[event.kind for event in log.events] for log in logs] == [["end"], []]


def test_sizes_of_data_sets_are_no_losses() -> None:
    head = "  2,204,118 chars | vocab 80 | 1,983,706 train / 220,412 val tokens\n"
    (log,) = read_text(head + "".join(f"  step {s} | train 2.{s} | val 2.{s + 1}\n" for s in (1, 2, 3)))
    assert steps(log) == [1, 2, 3]
    assert set(log.columns) == {"step", "train", "val"}


def hf_records(epochs: tuple[float, ...]) -> str:
    return "".join(f"{{'loss': {3 - e}, 'learning_rate': 1e-05, 'epoch': {e}}}\n" for e in epochs)


def test_two_trainings_of_the_trainer_in_one_log_are_two_runs() -> None:
    text = (
        f"{hf_records((0.5, 1.0, 1.5))}{{'train_runtime': 9.5, 'train_loss': 2.1, 'epoch': 2.0}}\n"
        f" 12%|#  | 3/25 [00:01<00:09, 2.5it/s]\n{{'eval_loss': 1.75, 'epoch': 2.0}}\n{hf_records((0.25, 0.5))}"
    )
    first, second = read_text(text)
    assert steps(first) == [1, 2, 3, 3]
    assert steps(second) == [1, 2]


def test_every_training_of_the_trainer_has_its_own_bar() -> None:
    def bar(done: int, total: int) -> str:
        return f" 1%|# | {done}/{total} [00:01<00:09, 2.5it/s]\n"

    def training(total: int) -> str:
        records = (f"{{'loss': 2.{s}, 'epoch': {s / 10}}}\n{bar(s, total)}" for s in (10, 20, 30))
        return bar(0, total) + "".join(records)

    end = "{'train_runtime': 9.5, 'train_loss': 2.1, 'epoch': 3.5}\n" + bar(4, 40)
    first, second = read_text(training(35) + end + training(60))
    assert steps(first) == steps(second) == [10, 20, 30]
    assert (first.config["max_steps"], second.config["max_steps"]) == (35, 60)


def test_a_record_behind_its_bar_on_the_same_line() -> None:
    (log,) = read_text(
        "".join(f" 9%|## | {s}/90 [00:01<00:09, 2.5s/it]{{'loss': '2.{s}', 'epoch': '0.{s}'}}\n" for s in (10, 20, 30))
    )
    assert steps(log) == [10, 20, 30]


def test_models_that_say_their_name_are_runs_of_their_own() -> None:
    def model(name: str, epochs: int) -> str:
        return "".join(f"{name} Epoch {e}: Loss = {5 - e}.5\n" for e in range(1, epochs + 1))

    logs = read_text(model("gru_2", 1) + model("gru_4", 3) + "saved gru_4\n" + model("Attention_4", 3))
    assert [steps(log) for log in logs] == [[1], [1, 2, 3], [1, 2, 3]]


def test_names_before_the_epoch_that_alternate_are_one_run() -> None:
    (log,) = read_text("".join(f"worker_{w} Epoch {e}: loss 2.{e}{w}\n" for e in (1, 2, 3) for w in (0, 1)))
    assert log.n_rows == 6


def test_a_runtime_in_every_record_of_the_trainer_is_no_end() -> None:
    """With `include_num_input_tokens_seen` the Trainer prints runtime and speed in each record."""
    record = "{{'loss': '{}', 'grad_norm': '0.4', 'learning_rate': '5e-05', 'epoch': '{}', 'num_input_tokens_seen': 64, 'train_runtime': '0.01'}}\n"
    text = "".join(record.format(2.5 - k / 10, k / 4) for k in range(1, 5))
    (log,) = read(Source("a.log", content=text.encode()))
    assert (log.format, len(log.columns["loss"].rows)) == ("huggingface-console", 4)


def counted(losses: list[float], total: int, every: int = 1) -> str:
    """Return records whose counter starts again when `total` is reached, without a word on epochs."""
    return "".join(
        f"step {k % total + 1}/{total} loss {loss:.3f}\n"
        for k, loss in enumerate(losses)
        if not (k % total + 1) % every
    )


@pytest.mark.parametrize("n_epochs", [2, 10, 100])
def test_a_counter_that_starts_again_each_epoch_is_one_run_as_in_json_lines(n_epochs: int) -> None:
    losses = [2 + 5 * math.exp(-k / (4 * n_epochs)) + 0.05 * math.sin(k * k) for k in range(20 * n_epochs)]
    (log,) = read_text(counted(losses, 20))
    (run,) = runs_in([log], "x.log")
    rows = "".join(f'{{"step": {k % 20 + 1}, "loss": {loss:.3f}}}\n' for k, loss in enumerate(losses))
    (other,) = runs_of(Source("x.jsonl", content=rows.encode()))
    assert (run.step_kind, run["loss"].steps.tolist()) == (other.step_kind, other["loss"].steps.tolist())
    assert "max_steps" not in run.config  # that many steps has an epoch


def test_runs_whose_loss_begins_anew_are_told_apart() -> None:
    losses = [9 - 4 * math.log10(k + 1) + 0.02 * math.sin(k * k) for k in range(30)]
    assert [log.n_rows for log in read_text(counted(losses * 3, 30))] == [30, 30, 30]
    assert len(read_text(counted(losses, 30) + "Training complete\n" + counted([5.0] * 30, 30))) == 2


def test_many_runs_share_the_arrays_of_one_table() -> None:
    """Converting the columns anew for each run would take time and memory that grow with their square."""
    logs = read_text(counted([9.0, 6.0, 4.0, 3.0] * 50, 4))
    assert len(logs) == 50
    assert len({id(log.columns["loss"].values.base) for log in logs}) == 1


def test_places_that_only_evaluations_lack() -> None:
    text = "".join(
        f"Epoch [{e}][{i}/500]\tlr: 1.0e-03, loss: {9 - e - i / 1000:.3f}\n" + (f"Epoch(val) [{e}][50]\tloss: 3.{e}\n" if i == 500 else "")
        for e in (1, 2)
        for i in (250, 500)
    )  # fmt: skip
    (log,) = read_text(text)
    assert steps(log) == [250, 500, 500, 750, 1000, 1000]


def epochs(first: float) -> str:
    return "".join(f"Epoch {k}/3 loss: {first - k / 5:.2f}\n" for k in (1, 2, 3))


def test_each_training_of_a_few_epochs_is_a_run() -> None:
    logs = read_text(f"small\n{epochs(4)}larger\n{epochs(3.9)}third\n{epochs(4.1)}")
    assert [log.columns["loss"].values.tolist() for log in logs] == [[3.8, 3.6, 3.4], [3.7, 3.5, 3.3], [3.9, 3.7, 3.5]]
    assert [log.columns["step"].values.tolist() for log in logs] == [[1, 2, 3]] * 3


def test_rounds_of_a_few_epochs_that_go_on_are_one_run() -> None:
    (log,) = read_text(f"round 1\n{epochs(4)}round 2\n{epochs(3.5)}round 3\n{epochs(3)}")
    assert log.n_rows == 9


def test_two_records_are_enough_where_both_say_their_step_and_loss() -> None:
    (log,) = read_text("loading\nstep 100 | loss 2.5 | lr 1e-4\nstep 200 | loss 2.4 | lr 1e-4\ndone\n")
    assert (steps(log), log.columns["loss"].values.tolist()) == ([100, 200], [2.5, 2.4])


@pytest.mark.parametrize(
    "second", ["step 100 | loss 2.4", "loss 2.4", "step 200 | loss 2.4 | lr 1e-4", "step 50 | loss 2.4"]
)
def test_two_lines_that_differ_are_none(second: str) -> None:
    with pytest.raises(UnreadableLog):
        read_text(f"loading\nstep 100 | loss 2.5\n{second}\ndone\n")


def test_trainings_that_only_headlines_number_are_runs_of_their_own() -> None:
    once = "".join(f"Epoch {epoch}/3\nloss {5 - epoch}.5 val_loss {6 - epoch}.5\n" for epoch in (1, 2, 3))
    runs = list(runs_of(Source("x.log", content=(3 * once).encode())))
    assert [list(zip(run["loss"].steps.tolist(), run["loss"].values.tolist())) for run in runs] == 3 * [
        [(1, 4.5), (2, 3.5), (3, 2.5)]
    ]
    assert [run.config["epochs"] for run in runs] == [3, 3, 3]


def test_the_place_of_a_line_without_a_loss_is_that_of_the_loss_below_it() -> None:
    once = "".join(
        f"epoch: 1, {k}/125 40.8%, 8.95s per iter, lr: 0.001\n    recon loss: 6.5  ppl:{200 - k}.5\n"
        for k in (1, 51, 101)
    )
    (run,) = runs_of(Source("x.log", content=once.encode()))
    assert run["ppl"].steps.tolist() == [1, 51, 101]
    assert run["lr"].values.tolist() == [0.001] * 3


def test_a_batch_of_an_evaluation_is_no_evaluation() -> None:
    lines = [
        f"DEBUG TRAIN Batch {e}/0 loss {5 - e}.5 lr 0.001\nDEBUG CV Batch {e}/20 loss 0.25 acc 99.0 history loss 0.5\n"
        f"DEBUG CV Batch {e}/30 loss 24.5 acc 42.5 history loss 5.25\nINFO Epoch {e} CV info cv_loss {6 - e}.25\n"
        for e in (1, 2, 3)
    ]
    (run,) = runs_of(Source("x.log", content="".join(lines).encode()))
    assert run["val/loss"].values.tolist() == [5.25, 4.25, 3.25]
    assert not any("ranks" in note for note in run.notes)


@pytest.mark.parametrize("batches", [4, 12])
def test_batches_of_an_evaluation_are_no_steps(batches: int) -> None:
    """They count from 1 to their own total, below the steps of the epoch, and the result stands behind them."""
    lines = []
    for e in (1, 2, 3):
        lines += [f"Epoch: {e}/3 Step: {s}/6 loss: {5 - e + 0.1 * s:.4f}" for s in range(1, 7)]
        lines += [f"Epoch: {e}/3 Step: {s}/{batches} val_loss: {3 + 0.1 * s:.4f}" for s in range(1, batches + 1)]
        lines += [f"Epoch: {e}/3 val_loss: {3.05 + e / 100:.4f}"]
    (run,) = runs_of(Source("x.log", content="\n".join(lines).encode()))
    assert run["loss"].steps.tolist() == [*range(1, 19)]
    assert list(zip(run["val/loss"].steps.tolist(), run["val/loss"].values)) == [(6, 3.06), (12, 3.07), (18, 3.08)]
    assert sum(skipped.count for skipped in run.skipped) == 3 * batches


@pytest.mark.parametrize("behind", [3, 6], ids=["within the epoch", "at its end"])
def test_an_evaluation_of_batches_stands_where_it_is_printed(behind: int) -> None:
    lines = []
    for e in (1, 2, 3):
        for s in range(1, 7):
            lines.append(f"Epoch: {e}/3 Step: {s}/6 loss: {5 - e + 0.1 * s:.4f}")
            lines += [f"Epoch: {e}/3 Step: {k}/12 val_loss: {3 + 0.1 * k:.4f}" for k in range(1, 13)] * (s == behind)
    (run,) = runs_of(Source("x.log", content="\n".join(lines).encode()))
    assert run["loss"].steps.tolist() == [*range(1, 19)]
    assert run["val/loss"].steps.tolist() == [behind, behind + 6, behind + 12]


@pytest.mark.parametrize(("name", "runs"), [("notes.md", 2), ("notes.log", 1)])
def test_steps_that_start_again_below_a_heading_are_another_run(name: str, runs: int) -> None:
    """Notes of experiments, one below the other; a line that begins like a heading says nothing in another file."""
    parts = ("8, 24, 40", "3, 16, 30")
    text = "\n".join(
        f"## {k}. Another try\n\nSmaller and slower.\n\n```text\n"
        + "".join(f"epoch {e}: train=0.{k}37, val=0.{k}38\n" for e in part.split(", "))
        + "```\n"
        for k, part in enumerate(parts, 1)
    )
    assert len(read(Source(name, content=text.encode()))) == runs
