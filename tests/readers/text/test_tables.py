"""Tables of single programs, and what is none."""

import math
import time

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.tables.table import Table
from lmdiag.readers.text.formats import ALIGNED_TABLE
from lmdiag.sources.source import Source
from tests.readers.text.prints import points, run_of


def test_a_table_beside_its_progress_bars() -> None:
    lines = ["epoch     train_loss  valid_loss  time    "]
    for epoch in range(3):
        for batch in (1, 5, 10):
            bar = "█" * batch + "-" * (10 - batch)
            lines.append(
                f"Epoch {epoch + 1}/3 : |{bar}| {10 * batch}.00% [{batch}/10 00:01<00:01... loss {6 - epoch - batch / 10:.4f}]"
            )
        lines.append(f"{epoch}         {5 - epoch}.000000    {5.5 - epoch}00000    00:0{epoch % 2 + 1}     ")
    run = run_of("\r".join(lines))
    assert points(run, "val/loss") == [(10, 5.5), (20, 4.5), (30, 3.5)]
    assert run["loss"].steps.tolist() == [1, 5, 10, 11, 15, 20, 21, 25, 30]
    assert points(run, "train/loss") == [(10, 5.0), (20, 4.0), (30, 3.0)]
    assert points(run, "duration_s") == [(10, 1.0), (20, 2.0), (30, 1.0)]


def test_a_table_of_mlx_lm() -> None:
    rows = [
        "  \x1b[1miter   train_loss     tok/s     tokens\x1b[0m",
        "     1    \x1b[1;35mval\x1b[0m \x1b[1m5.813\x1b[0m    1.58s",
        "    10    3.210 ▼    2,345      1.2k",
        "    20    val 3.150    0.05s",
        "    20    3.190 ▼    2,400      2.4k",
        "    30      nan ▲    2,410     1.25M",
        "    30    val   nan    0.05s",
        "  save  0000030_adapters.safetensors",
    ]
    run = run_of("\n".join(["Trainable parameters: 81.317% (0.082M/0.101M)", *rows, "train ███ 100% · 30/30"]))
    assert points(run, "loss")[:2] == [(10, 3.21), (20, 3.19)]
    assert math.isnan(run["loss"].values[2])
    assert [step for step, _ in points(run, "val/loss")] == [1, 20, 30]
    assert points(run, "tokens") == [(10, 1200.0), (20, 2400.0), (30, 1.25e6)]
    assert points(run, "tokens_per_sec")[1] == (20, 2400.0)
    assert points(run, "val/eval_time_s")[0] == (1, 1.58)


def test_units_and_percent() -> None:
    head = "step    loss   lr    accuracy   time (ms)   gpu mem   elapsed\n"
    body = "".join(
        f"{k}/100   {5 - k / 4}   1e-4   {20 + k}%     {500 + k}      {3 + k}.5GiB   {k}m 30s\n" for k in range(1, 5)
    )
    run = run_of(head + body)
    assert points(run, "accuracy")[0] == (1, pytest.approx(0.21))
    assert points(run, "elapsed_s") == [(k, 60 * k + 30.0) for k in range(1, 5)]
    assert run["gpu mem" if "gpu mem" in run else "mem_bytes"].values[0] == 4.5 * 2**30
    assert next(series for series in run.series.values() if series.source_name == "time (ms)").values[
        0
    ] == pytest.approx(0.501)
    assert run.config["max_steps"] == 100


def test_blank_cells_are_missing() -> None:
    rows = "".join(
        f"{k:>6}  {5 - k / 8:>10.4f}  {f'{5.5 - k / 8:.4f}' if k % 2 == 0 else '':>10}  {1e-4:>8.1e}\n"
        for k in range(1, 9)
    )
    run = run_of(f"{'step':>6}  {'train_loss':>10}  {'val_loss':>10}  {'lr':>8}\n{rows}")
    assert points(run, "val/loss") == [(k, 5.5 - k / 8) for k in (2, 4, 6, 8)]
    assert run["lr"].steps.tolist() == [*range(1, 9)]


def test_cells_missing_at_the_end_are_a_habit_or_a_torn_line() -> None:
    rows = [f"{k:>5} {5 - k / 8:.4f}" + (f" {5.5 - k / 8:.4f}" if k % 2 else "") for k in range(1, 9)]
    run = run_of("\n".join([" step  loss val_loss", *rows]))
    assert len(run["loss"]) == 8
    assert len(run["val/loss"]) == 4
    assert not run.skipped
    torn = run_of("\n".join([" step  loss val_loss", *rows[::2], "    9 3."]))
    assert len(torn["loss"]) == 4
    assert [(s.line, s.unit) for s in torn.skipped] == [(6, "value"), (6, "record")]


def test_a_second_table_under_the_name_of_its_set() -> None:
    text = ""
    for k in range(1, 7):
        text += ("step   loss     lr\n" if k % 2 else "") + f"{k * 10:<6} {5 - k / 4:.3f}   1e-4\n"
        if k % 2 == 0:
            text += f"\nEvaluation at step {k * 10}\n\nstep   loss     acc\n{k * 10:<6} {5.5 - k / 4:.3f}   0.{k}\n\n"
    run = run_of(text)
    assert points(run, "loss") == [(k * 10, 5 - k / 4) for k in range(1, 7)]
    assert points(run, "val/loss") == [(20, 5.0), (40, 4.5), (60, 4.0)]
    assert points(run, "val/accuracy") == [(20, 0.2), (40, 0.4), (60, 0.6)]


def test_a_column_names_the_set() -> None:
    rows = "".join(f"| train | {k} | {5 - k}.5 | 0.{k} |\n| val | {k} | {6 - k}.5 | 0.{k} |\n" for k in (1, 2, 3))
    run = run_of(f"| Phase | Epoch | Loss | Acc |\n|---|---|---|---|\n{rows}")
    assert points(run, "loss") == [(1, 4.5), (2, 3.5), (3, 2.5)]
    assert points(run, "val/loss") == [(1, 5.5), (2, 4.5), (3, 3.5)]


def test_a_report_of_classes_below_is_no_part_of_it() -> None:
    table = "".join(f"{k}      {5 - k}.5   {6 - k}.5   0.{k}\n" for k in (1, 2, 3))
    report = "              precision    recall  f1-score   support\n\n" + "".join(
        f"           {k}       0.9{k}      0.96      0.95      1000\n" for k in range(9)
    )
    run = run_of(f"epoch  train_loss  val_loss  acc\n{table}\n{report}")
    assert points(run, "loss") == [(1, 4.5), (2, 3.5), (3, 2.5)]


def sb3(k: int, indent: str = "   ") -> str:
    """Return one box of Stable-Baselines3."""
    values = {"rollout/": {"ep_rew_mean": 20 + k}, "time/": {"fps": 800, "iterations": k, "total_timesteps": 64 * k},
              "train/": {"approx_kl": 0.0002, "learning_rate": 0.0003, "loss": 55.5 - k, "value_loss": 111 - k}}  # fmt: skip
    lines = []
    for heading, names in values.items():
        lines += [(heading, ""), *((indent + name, str(value)) for name, value in names.items())]
    rule = "-" * 42
    return "\n".join([rule, *(f"| {name:<24} | {value:<11} |" for name, value in lines), rule]) + "\n"


def test_a_box_is_one_record() -> None:
    run = run_of("Using cpu device\n" + "".join(map(sb3, range(1, 9))))
    assert points(run, "loss") == [(64 * k, 55.5 - k) for k in range(1, 9)]
    assert (run.objective, run["lr"].values[0], run["rollout/ep_rew_mean"].values[0]) == ("reinforcement", 0.0003, 21.0)


def test_blocks_of_a_learning_iteration() -> None:
    text = "".join(
        f"{'#' * 60}\n{f'Learning iteration {k}/1000':^60}\n\n{'Computation:':>35} 45678 steps/s (collection: 1.2s)\n"
        f"{'Value function loss:':>35} {2 - k / 10:.4f}\n{'Surrogate loss:':>35} -0.0012\n{'Mean reward:':>35} {k}.25\n"
        f"{'-' * 60}\n{'Total timesteps:':>35} {k * 98304}\n{'Iteration time:':>35} 1.35s\n{'ETA:':>35} 12.5s\n\n"
        for k in range(8)
    )
    run = run_of(text)
    assert points(run, "Value function loss") == [(k, pytest.approx(2 - k / 10)) for k in range(8)]
    assert points(run, "reward")[2] == (2, 2.25)
    assert (run.objective, run.config["max_steps"]) == ("reinforcement", 1000)


def test_a_table_of_test_results_is_an_event() -> None:
    bars = "".join(
        f"Epoch 0:  {k}0%|## | {k}/10 [00:01<00:01, 5.0it/s, train_loss={5 - k / 4}]\n" for k in range(1, 11)
    )
    table = (
        "┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┓\n┃ Test metric ┃ DataLoader 0 ┃\n┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━━┩\n"
        "│  test_acc   │    0.9875    │\n│  test_loss  │    0.0388    │\n└─────────────┴──────────────┘\n"
    )
    run = run_of(bars + table)
    assert len(run["loss"]) == 10
    assert "test/loss" not in run
    assert [event.fields for event in run.events if event.kind == "final_evaluation"] == [
        {"test_acc": 0.9875, "test_loss": 0.0388}
    ]


COLUMNS = {"step": [10 * k for k in range(1, 8)], "loss": [5.5, 5.0, 4.5, math.nan, 4.0, 3.5, 3.25], "lr": [1e-4] * 7}


@pytest.mark.parametrize("how", ["print", "to_string", "named index", "without step", "markdown"])
def test_frames_of_pandas(how: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    if how == "without step":
        frame = frame.set_index("step").rename_axis(None)
    indexed = frame.set_index("step") if how == "named index" else frame
    if how == "markdown":
        pytest.importorskip("tabulate")
        text = frame.to_markdown()
    else:
        text = indexed.to_string() if how == "to_string" else repr(indexed)
    run = run_of(f"history:\n{text}\n")
    assert run["loss"].steps.tolist() == COLUMNS["step"]
    assert run["loss"].values.tolist() == pytest.approx(COLUMNS["loss"], nan_ok=True)


def test_a_frame_without_its_middle_is_said() -> None:
    pandas = pytest.importorskip("pandas")
    text = repr(pandas.DataFrame({"step": range(1, 201), "loss": [10 - k / 32 for k in range(200)]}))
    run = run_of(text)
    assert points(run, "loss")[4:6] == [(5, 9.875), (196, pytest.approx(10 - 195 / 32, rel=1e-4))]
    assert any("without its middle" in note for note in run.notes)


def test_frames_of_polars() -> None:
    polars = pytest.importorskip("polars")
    run = run_of(str(polars.DataFrame({"step": COLUMNS["step"], "loss": COLUMNS["loss"]})))
    assert run["loss"].steps.tolist() == COLUMNS["step"]
    assert run["loss"].values.tolist() == pytest.approx(COLUMNS["loss"], nan_ok=True)


@pytest.mark.parametrize(
    "look", ["HEAVY_HEAD", "SQUARE", "MINIMAL", "SIMPLE", "ROUNDED", "ASCII", "DOUBLE_EDGE", "MARKDOWN"]
)
def test_tables_of_rich(look: str) -> None:
    pytest.importorskip("rich")
    from rich import box as boxes
    from rich.console import Console
    from rich.table import Table

    table = Table("Step", "Train Loss", "Val Loss", title="Training", box=getattr(boxes, look))
    for step, loss in zip(COLUMNS["step"], COLUMNS["loss"]):
        table.add_row(str(step), f"{loss:.3f}", "-" if step % 20 else f"{loss + 1:.3f}")
    console = Console(width=80, record=True, file=None)
    with console.capture() as captured:
        console.print(table)
    run = run_of(captured.get())
    assert run["loss"].values.tolist() == pytest.approx(COLUMNS["loss"], nan_ok=True)
    assert run["val/loss"].steps.tolist() == [20, 40, 60]


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_lines_that_rich_wrapped(width: int) -> None:
    pytest.importorskip("rich")
    import io
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    printed = io.StringIO()
    logger = logging.Logger("train")
    logger.addHandler(RichHandler(console=Console(file=printed, width=width)))
    for k in range(1, 8):
        loss = math.nan if k == 4 else 5 - k / 4
        logger.info(
            f"step={k} loss={loss:.4f} lr={k * 1e-5:.3e} grad_norm=1.{k} tokens_per_second={12000 + k} gpu_mem=3.25GB epoch=0.{k}"
        )
    run = run_of(printed.getvalue())
    assert run["loss"].steps.tolist() == [*range(1, 8)]
    assert points(run, "tokens_per_sec") == [(k, 12000.0 + k) for k in range(1, 8)]
    assert run["epoch"].values.tolist() == pytest.approx([k / 10 for k in range(1, 8)])
    assert not any(".py" in name or "test_tables" in name for name in run.series)


OF_TWO_SETS = "          train          val\nepoch   loss    acc    loss    acc\n"
FORMS = {
    "commas": "starting\nepoch,train_loss,val_loss\n" + "".join(f"{k},{5 - k}.5,{6 - k}.5\n" for k in (1, 2, 3)),
    "semicolons": "starting\nEpoch; Train Loss; Val Loss\n" + "".join(f"{k}; {5 - k}.5; {6 - k}.5\n" for k in (1, 2, 3)),
    "sets above": OF_TWO_SETS + "".join(f"{k}       {5 - k}.5    0.1    {6 - k}.5    0.2\n" for k in (1, 2, 3)),
    "words in the count": "| Epoch | Loss | Val Loss |\n|---|---|---|\n" + "".join(f"| Epoch {k}/3 | {5 - k}.5 | {6 - k}.5 |\n" for k in (1, 2, 3)),
    "bars behind": "   Epoch  GPU_mem  loss  val_loss\n" + "".join(
        f"     {k}/3     2.1G   {5 - k}.{5 if done == 100 else 9}       {6 - k}.5:{done:>4}%|###| {done}/100 [00:01<00:01]\n" for k in (1, 2, 3) for done in (50, 100)
    ),
    "words below the head": "epoch  loss  val loss  time\nsaved a.pt in 0.5s\n" + "".join(f"{k}      {5 - k}.5   {6 - k}.5       1.5\n" for k in (1, 2, 3)),
    "words between": "epoch  loss  val_loss\n" + "".join(f"{k}      {5 - k}.5   {6 - k}.5\nSaved the model with the best loss\nlowest   loss so far\n" for k in (1, 2, 3)),
    "words beside": "| epoch | loss | val_loss | best |\n|--|--|--|--|\n" + "".join(f"| {k} | {5 - k}.5 | {6 - k}.5 | {'yes' if k % 2 else 'no'} |\n" for k in (1, 2, 3)),
    "the summary of another count": "epoch  loss  val_loss\n" + "".join(f"{k}      {5 - k}.5   {6 - k}.5\n" for k in (1, 2, 3))
    + "\nepoch   precision   recall\n" + "".join(f"{k}       0.5         0.25\n" for k in (1, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_further_forms(form: str) -> None:
    run = run_of(FORMS[form])
    assert run.step_kind == "epoch"
    assert points(run, "loss") == [(1, 4.5), (2, 3.5), (3, 2.5)]
    assert points(run, "val/loss") == [(1, 5.5), (2, 4.5), (3, 3.5)]


def test_tables_by_steps_and_by_epochs() -> None:
    text = ""
    for epoch in (1, 2):
        text += "step   loss     lr\n"
        text += "".join(f"{k:<6} {6 - k / 100:.3f}   1e-4\n" for k in range(epoch * 100 - 90, epoch * 100 + 1, 10))
        text += f"\nepoch   val_loss   val_acc\n{epoch}       {6 - epoch}.25       0.{epoch}\n\n"
    run = run_of(text)
    assert (run.step_kind, len(run["loss"])) == ("step", 20)
    assert points(run, "val/loss") == [(100, 5.25), (200, 4.25)]


def test_a_head_without_a_count_below_words_about_a_loss() -> None:
    rows = "".join(f"{k}       {5 - k}.5       {6 - k}.5\n" for k in range(4))
    run = run_of(f"Computing loss\n   train_loss  valid_loss\n{rows}")
    assert points(run, "loss") == [(k, 5.5 - k) for k in range(4)]


REPEATED = ("| ", "|#|", "loss ", "1 ", "▼ ", "5 ▼ ", "- ", "val 3 ", "1s 2m ")
HEADS = ("", "step  loss  lr\n1     2.5   0.1", "| step | loss |\n|--|--|\n| 1 | 2 |", "   Learning iteration 5/100 ")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("token", REPEATED)
def test_a_long_line_of_one_token_takes_no_time(token: str, head: str) -> None:
    scanner = ALIGNED_TABLE.scanner(Table(), "")
    for line, piece in enumerate(head.split("\n")):
        scanner.feed(line, piece)
    start = time.process_time()
    scanner.feed(9, ("9 " + token * 8000)[:8000])
    assert time.process_time() - start < 0.1


PROSE = (
    "Each epoch   the loss is printed\n",
    "training loss    validation loss\n",
    "| setting | loss |\n|---|---|\n| a | b |\n",
    "Computing loss\n12 34\n",
    "step loss\nnothing\n10\n",
)


@pytest.mark.parametrize("prose", PROSE)
def test_what_is_no_table_changes_nothing(prose: str) -> None:
    lines = "".join(f"step {k} | loss {5 - k / 4} | lr 1e-4\n" for k in range(1, 9))
    run = run_of(prose + lines + "8 processes started\n" + prose)
    assert points(run, "loss") == [(k, 5 - k / 4) for k in range(1, 9)]
    assert not run.skipped
    assert sorted(run.series) == ["loss", "lr"]


def test_step_of_a_logger_counts() -> None:
    run = run_of("   _step  loss\n0     10  4.25\n1     20  4.00\n2     30  3.75\n3     40  3.50\n")
    assert points(run, "loss") == [(10, 4.25), (20, 4.0), (30, 3.75), (40, 3.5)]


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("**** Epoch | Train Loss | Val Loss ****", "{0} | {1} | {2}"),
        ("***** epoch   train_loss   val_loss *****", "      {0}       {1}       {2}"),
    ],
)
def test_a_head_between_asterisks_before_each_row(head: str, row: str) -> None:
    run = run_of("".join(f"{head}\n{row.format(k, 4.5 - k / 4, 4.75 - k / 4)}\nsaved\n" for k in range(1, 9)))
    assert points(run, "loss") == [(k, 4.5 - k / 4) for k in range(1, 9)]
    assert points(run, "val/loss") == [(k, 4.75 - k / 4) for k in range(1, 9)]


def test_losses_that_rows_hold_in_turn() -> None:
    lines = ["Step\tTrain loss\tValid loss\t"]
    lines += [f"{100 * k}\t{'nan' if k % 3 else 4 - k / 20}\t{4.5 - k / 20 if k % 3 else 'nan'}" for k in range(1, 31)]
    prefix = "2026-08-19 13:28:48,101 INFO [denovo/MainProcess] model._log : "
    (run,) = runs_of(Source("a.log", content="".join(f"{prefix}{line}\n" for line in lines).encode()))
    assert {name: (len(s), s.values[-1]) for name, s in run.series.items()} == {
        "loss": (10, 2.5),
        "val/loss": (20, 3.05),
    }


def test_chainer_names_its_model_main() -> None:
    head = "epoch       iteration   main/loss   validation/main/loss  main/accuracy  elapsed_time\n"
    rows = "".join(
        f"{k:<12}{100 * k:<12}{4 - k / 4:<12}{(4.5 - k / 4 if k % 2 == 0 else ''):<22}{k / 10:<15}{k * 9.5}\n"
        for k in range(1, 7)
    )
    run = run_of(head + rows)
    assert points(run, "loss") == [(100 * k, 4 - k / 4) for k in range(1, 7)]
    assert points(run, "val/loss") == [(100 * k, 4.5 - k / 4) for k in (2, 4, 6)]
    assert points(run, "accuracy") == [(100 * k, k / 10) for k in range(1, 7)]


def test_spacy_2_counts_iterations() -> None:
    head = "Itn.  NER Loss  NER P.  NER R.  Token %  CPU WPS\n"
    run = run_of(head + "".join(f"{k}     {900 - 50 * k}.5     12.346   35.714  100.000 412.6\n" for k in range(6)))
    assert points(run, "loss") == [(k, 900.5 - 50 * k) for k in range(6)]
