"""Loops that people write themselves: each row is how one prints the same four losses, and what must come out."""

import math
from collections.abc import Iterable

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source

CURVE = [(100, 4.512), (200, 4.25), (300, 3.5), (400, 3.25)]
LATER = [(step, round(loss + 0.125, 4)) for step, loss in CURVE]


def runs(lines: Iterable[str]) -> list[Run]:
    return list(runs_of(Source("x.log", content="\n".join(lines).encode())))


def run_of(lines: Iterable[str]) -> Run:
    (run,) = runs(lines)
    return run


def points(run: Run, name: str) -> list[tuple[int, float]]:
    series = run.series[name]
    return list(zip(series.steps.tolist(), series.values.round(6).tolist()))


def counted(run: Run) -> int:
    return sum(skipped.count for skipped in run.skipped)


ALONE = [
    "step {s} loss {x} ms 12",
    "[{s}/1200] [{k}] loss {x}",  # of what k is the number nobody knows, and it grows more slowly than the step
    "[{s}/1200] [{left}] loss {x}",
    "total {total:.3f} (lm {x} aux 0.25) at step {s}",
    "{thousand}k steps  loss {x}",
    "((step {s}) (loss {x}) (lr 0.001))",
    "step={s} loss.item()={x} optimizer.param_groups[0]['lr']=0.001",
    "step={s} loss.mean().item()={x} scheduler.get_last_lr()[0]=0.001",
    "┌ Info: step {s}\n│   loss = {x}f0\n└   lr = 1.0f-3",
    "[{s}/1200] {x} nll, 12.5 gnorm",
    "| {s} | {x} |",
]


@pytest.mark.parametrize("line", ALONE)
def test_a_loss_is_read_at_its_step(line: str) -> None:
    rows = [
        line.format(s=s, x=x, k=k, left=1200 - s, total=x + 0.25, thousand=s / 1000)
        for k, (s, x) in enumerate([*CURVE, *((500 + 100 * more, 3.0) for more in range(8))], 42)
    ]
    run = run_of(rows)
    expected = [(s, round(x + 0.25, 3) if line.startswith("total") else x) for s, x in CURVE]
    assert points(run, "loss")[: len(CURVE)] == expected


@pytest.mark.parametrize(
    "evaluation",
    [
        "Validierungsverlust nach Schritt {s}: {y}",
        "perte de validation après l'étape {s} : {y}",
        "Perdita di validazione dopo il passo {s}: {y}",
        "val loss {y} | patience 1/10 | best 3.1",
        "val loss {y} (best 3.1)",
        "Checkpoint [6]  Validation-loss={y}",
        "Val. Epoch: 3/9. Total loss: {y}",
        "dataset   loss   ppl\nc4        {y}   12.5",
        "| set | loss |\n|---|---|\n| c4 | {y} |",
        "          train  valid\nloss     1.5  {y}",
    ],
)
def test_an_evaluation_is_read_at_its_step(evaluation: str) -> None:
    run = run_of(f"step {s} loss {x}\n{evaluation.format(s=s, y=y)}" for (s, x), (_, y) in zip(CURVE, LATER))
    found = [name for name in run.series if name in ("val/loss", "c4/loss")]
    assert [points(run, name) for name in found] == [LATER]


@pytest.mark.parametrize(
    "lines",
    [
        "Schritt {s}: Verlust {x}\nValidierungsverlust nach Schritt {s}: {y}",
        "étape {s} perte {x}\nperte de validation après l'étape {s} : {y}",
    ],
)
def test_decimal_commas_behind_a_place_are_those_of_the_name_before_it(lines: str) -> None:
    run = run_of(lines.format(s=s, x=x, y=y).replace(".", ",") for (s, x), (_, y) in zip(CURVE, LATER))
    assert points(run, "val/loss") == LATER


def table_of(*rows: str) -> Run:
    return run_of("\n".join((f"step {s} loss {x}", *rows)).format(y=y) for (s, x), (_, y) in zip(CURVE, LATER))


@pytest.mark.parametrize("missing", ["c4  {y}  -", "c4  {y}  n/a", "c4  {y}  None"])
def test_a_row_of_a_set_is_read_without_the_cells_that_it_lacks(missing: str) -> None:
    run = table_of("set  loss  ppl", missing, "wiki  2.5  {y}")
    assert points(run, "c4/loss") == points(run, "wiki/ppl") == LATER
    assert "c4/ppl" not in run.series
    assert counted(run) == 0


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("total  9  12", 2),
        ("time  3  4", 2),
        ("count  100  200", 2),
        ("std  0.1  0.2", 2),
        ("wiki  2.5", 1),
        ("wiki  2.5  best", 1),
    ],
)
def test_a_row_that_is_no_set_is_counted(row: str, numbers: int) -> None:
    run = table_of("dataset  loss  ppl", "c4  {y}  12.5", row)
    assert run.series.keys() == {"loss", "c4/loss", "c4/ppl"}
    assert counted(run) == numbers * len(CURVE)


def test_the_average_of_the_sets_is_the_evaluation() -> None:
    assert points(table_of("dataset  loss  ppl", "c4  2.5  12.5", "average  {y}  12.5"), "val/loss") == LATER


@pytest.mark.parametrize("row", ["draft  2.5  1.0", "gpu  2.5  1.0"])
def test_rows_below_a_type_or_a_phase_are_sets_only_where_they_name_one(row: str) -> None:
    run = table_of("phase  loss  weight", "val  {y}  1.0", row)
    assert points(run, "val/loss") == LATER
    assert counted(run) == 2 * len(CURVE)


def test_a_line_behind_the_next_record_is_no_row_of_the_sets() -> None:
    run = run_of(f"step {s} loss {x}\ngpu 0 12.5" + "\nset  loss  ppl\nc4  2.5  12.5" * (s < 300) for s, x in CURVE)
    assert run.series.keys() == {"loss", "c4/loss", "c4/ppl"}


@pytest.mark.parametrize("between", ["dataset  loss\nc4  2.5", "set loss scale to dynamic"])
def test_sets_do_not_end_a_table_of_epochs(between: str) -> None:
    rows = (f"{e}  {x}  {x}  0.5  0.1\n{between}" for e, (_, x) in enumerate(CURVE, 1))
    run = run_of(["epoch  train_loss  valid_loss  accuracy  lr", *rows])
    assert points(run, "loss") == [(e, x) for e, (_, x) in enumerate(CURVE, 1)]


def test_bits_whose_name_stands_behind_them() -> None:
    run = run_of(f"step {s}: {x} bits/byte, 0.91 gnorm" for s, x in CURVE)
    assert points(run, "bpb") == CURVE
    assert points(run, "grad_norm") == [(s, 0.91) for s, _ in CURVE]


@pytest.mark.parametrize(
    "line",
    [
        "step {s} loss {x} | 12.5ms",
        "step {s}: loss {x}, 12.5 ms per step",
        "step {s} | loss {x} | 12.5ms/step | 99 W",
        "step {s} loss {x} | 12.5 ms lr 0.001",
        "step {s} loss {x}, iter 12.5 ms, data 5 ms",
    ],
)
def test_a_time_without_a_name_is_that_of_the_step(line: str) -> None:
    assert points(run_of(line.format(s=s, x=x) for s, x in CURVE), "step_time_s") == [(s, 0.0125) for s, _ in CURVE]


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("step {s} | loss {x} | 12ms fwd", 1),
        ("step {s} | loss {x} | 12ms fwd | 300ms bwd", 2),
        ("step {s} loss {x} (data 12 ms, 340 ms, 8 ms wait)", 3),
        ("step {s}, loss {x}, 5 ms fetching data, 305 ms in all", 2),
        ("step {s} loss {x} waited 8 ms", 1),
        ("step {s} loss {x} | 0.9ms/tok", 1),
        ("step {s} loss {x}, 9 ms per token", 1),
    ],
)
def test_a_time_of_a_phase_is_none_of_the_step(line: str, times: int) -> None:
    run = run_of(line.format(s=s, x=x) for s, x in CURVE)
    assert run.series.keys() == {"loss"}
    assert counted(run) == times * len(CURVE)


@pytest.mark.parametrize(("took", "name"), [("3.5", "duration_s"), ("{s}.5", "elapsed_s")])
def test_what_took_a_time_is_known_by_its_growth(took: str, name: str) -> None:
    run = run_of(f"step {s} took {took.format(s=s)}s, loss is {x}" for s, x in CURVE)
    assert points(run, name) == [(s, float(took.format(s=s))) for s, _ in CURVE]


def test_the_time_of_an_epoch_is_none_of_a_step() -> None:
    run = run_of(f"epoch {e} loss {x} 5123ms" for e, (_, x) in enumerate(CURVE))
    assert "step_time_s" not in run.series


@pytest.mark.parametrize("nan", ["nan", "-nan", "-nan(ind)", "NaN32"])
def test_a_line_that_ends_in_nan_is_no_call_of_a_program(nan: str) -> None:
    run = run_of([*(f"step {s} grad 0.5 loss {x}" for s, x in CURVE), f"step 500 grad 0.5 loss {nan}"])
    assert [int(step) for step in run["loss"].steps] == [100, 200, 300, 400, 500]


@pytest.mark.parametrize("line", ["step {s}: train {x} val {x}", "step {s} | train: {x} | val: {x}"])
def test_nan_behind_the_name_of_a_set_is_no_size_of_it(line: str) -> None:
    run = run_of([*(line.format(s=s, x=x) for s, x in CURVE), line.format(s=500, x="nan"), line.format(s=600, x="inf")])
    for name in ("loss", "val/loss"):
        assert points(run, name)[: len(CURVE)] == CURVE
        assert math.isnan(run[name].values[-2])
        assert run[name].values[-1] == math.inf


def test_a_remark_in_brackets_behind_a_word_with_brackets_is_no_call_of_a_program() -> None:
    run = run_of(f"Epoch(train) [1][{s}/400] loss: {x} lr: 0.1 (2.5)" for s, x in CURVE)
    assert points(run, "loss") == CURVE


def test_losses_of_micro_batches_are_not_those_of_the_steps_before_them() -> None:
    run = run_of(
        line
        for s, x in CURVE
        for line in (*(f"  micro {m}/4: loss {x + m}" for m in range(1, 5)), f"step {s} mean loss {x}")
    )
    assert points(run, "loss") == CURVE
    assert [skipped.count for skipped in run.skipped if "each step has a loss of its own" in skipped.reason] == [16]


@pytest.mark.parametrize("epochs", [2, 3, 4])
def test_trainings_of_a_few_epochs_are_runs_of_their_own(epochs: int) -> None:
    folds = [[(e, round(3.0 - 0.4 * e - 0.05 * fold, 3)) for e in range(1, epochs + 1)] for fold in range(4)]
    lines = [
        line for k, fold in enumerate(folds) for line in (f"Fold {k}", *(f"Epoch {e}: train loss {x}" for e, x in fold))
    ]
    assert [points(run, "loss") for run in runs(lines)] == folds


def test_epochs_that_count_anew_while_the_loss_goes_on_are_one_run() -> None:
    lines = [f"Epoch {e}: train loss {5.0 - 0.4 * (3 * stage + e)}" for stage in range(3) for e in range(1, 4)]
    assert len(run_of(lines)["loss"]) == 9


def test_a_loss_marked_in_brackets_is_counted_where_it_may_be_the_best_so_far() -> None:
    run = run_of(line for s, x in CURVE for line in (f"step {s} loss {x}", "eval loss [best] 3.1"))
    assert points(run, "loss") == CURVE
    assert counted(run) == len(CURVE)


def test_results_of_other_runs_in_prose_are_no_curve() -> None:
    prose = ["- Initial loss: train 3.34, validation 3.25.", "- Best checkpoint: step 100, train loss 2.08."]
    with pytest.raises(UnreadableLog):
        runs(["# Experiments", *(prose * 4)])


def test_a_table_of_accuracies_without_a_loss_is_none_of_losses() -> None:
    with pytest.raises(UnreadableLog):
        runs(["| epoch | acc |", "|---|---|", *(f"| {k} | 0.{k} |" for k in range(10, 40))])


def test_lines_of_a_known_format_that_pad_their_numbers_now_and_then() -> None:
    rows = [
        f"iter {s}: loss {x}, time 99.50ms, mfu 9.10%"
        if s % 200
        else f"iter  {s}: loss  {x}, time  99.50ms, mfu  9.10%"
        for s, x in CURVE
    ]
    run = run_of(rows)
    assert points(run, "loss") == CURVE
    assert counted(run) == 0


PHASES = [*(f"step {100 * k} | train_loss {3 - k / 10}" for k in range(1, 9)), "fine-tuning"]
SECOND = [1.85, 1.8, 1.75, 1.7, 1.65, 1.6, 1.55, 1.5, math.nan, math.nan]


def test_losses_without_a_step_behind_the_last_one_are_of_another_training() -> None:
    run = run_of([*PHASES, *(f"loss: {x}" for x in SECOND)])
    assert run["loss"].values[-len(SECOND) :].tolist() == pytest.approx(SECOND, nan_ok=True)


def test_losses_below_epochs_are_no_micro_batches_of_the_steps_before() -> None:
    epochs = [line for k, x in enumerate(SECOND[:8], 1) for line in (f"=== Epoch {k}/8 ===", f"Loss: {x}, BLEU: {k}.5")]
    run = run_of([*PHASES[:6], *epochs])
    assert run["loss"].values.tolist() == SECOND[:8]
    assert run["BLEU"].values.tolist() == [k + 0.5 for k in range(1, 9)]


@pytest.mark.parametrize("micro", [[2.5], [2.5, math.nan], [2.5] * 40], ids=["one each", "nan", "each step in full"])
def test_losses_between_those_of_steps_stay_where_they_may_be_no_micro_batches(micro: list[float]) -> None:
    run = run_of(line for s, x in CURVE for line in (*(f"loss: {m}" for m in micro), f"step {s} mean loss {x}"))
    assert not any("each step has a loss of its own" in skipped.reason for skipped in run.skipped)
    assert {2.5} < {value for series in run.series.values() for value in series.values.tolist()}


def test_the_numbers_beside_losses_of_micro_batches_are_counted() -> None:
    run = run_of(
        line
        for s, x in CURVE
        for line in (*(f"  micro: loss {x + m}, grad_norm 0.{m}" for m in range(1, 5)), f"step {s} mean loss {x}")
    )
    assert points(run, "loss") == CURVE
    assert counted(run) == 2 * 16


@pytest.mark.parametrize(
    ("line", "unread"),
    [
        ("step {s} ce {x} total 5.0 (data 2.0 compute 3.0)", 3),
        ("step {s} loss {x} mem total 5.0 (used 2.0 free 3.0)", 3),
        ("step {s} loss {x} total 5.0 (gen 2.0 reward 3.0)", 2),
        ("step {s} loss {x} total 5.0 (ce 2.0 kl 3.0)", 1),
        ("step {s} loss {x} total 5.0 (train 2.0 val 3.0)", 1),
    ],
)
def test_a_total_of_times_or_sizes_is_no_loss(line: str, unread: int) -> None:
    run = run_of(line.format(s=s, x=x) for s, x in CURVE)
    assert points(run, "loss") == CURVE
    assert all(5.0 not in series.values for series in run.series.values())
    assert counted(run) == unread * len(CURVE)


def test_a_total_of_times_is_no_loss_where_no_other_is_known() -> None:
    with pytest.raises(UnreadableLog):
        run_of(f"step {s} | lm {x} | total 5.0 (data 2.00, compute 3.00)" for s, x in CURVE)


def test_a_total_that_is_not_a_number_is_the_loss_of_terms_that_are_not() -> None:
    rows = [f"step {s} total {x + 0.25} (lm {x} aux 0.25)" for s, x in CURVE]
    run = run_of([*rows, "step 500 total nan (lm nan aux 0.25)"])
    assert [int(step) for step in run["loss"].steps] == [100, 200, 300, 400, 500]


@pytest.mark.parametrize(
    "line",
    [
        "2.3k steps/min | iter {s} | loss {x}",
        "1.5k iters / s | step {s} | loss {x}",
        "10k steps total, step {s}, loss {x}",
        "1.2k updates in all | batch {s} | loss {x}",
    ],
)
def test_thousands_of_steps_are_no_place_beside_one(line: str) -> None:
    assert points(run_of(line.format(s=s, x=x) for s, x in CURVE), "loss") == CURVE


@pytest.mark.parametrize("line", ["[{k}/60] (epoch {e}) loss {x}", "epoch {e} step {k} loss {x}"])
def test_a_named_epoch_is_none_of_the_steps_that_go_on_through_it(line: str) -> None:
    rows = [(k, round(4 - k / 16, 4)) for k in range(1, 21)]
    run = run_of(line.format(k=k, e=5 * k, x=x) for k, x in rows)
    assert points(run, "loss") == rows
    assert points(run, "epoch") == [(k, 5 * k) for k, _ in rows]
    assert counted(run) == 0


def test_named_epochs_of_fewer_and_fewer_steps() -> None:
    run = run_of(f"epoch {e} step {100 - e} loss {4 - e / 8}" for e in range(8))
    assert (run["loss"].steps[1:] > run["loss"].steps[:-1]).all()
    assert counted(run) == 0
