"""Records that several processes printed, or one process twice, in every format and under every prefix."""

import itertools
import math

import numpy as np
import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.readers.text import read
from lmdiag.run import Event
from lmdiag.sources.source import Source

LOSSES = [3.25, 2.5, math.nan, 2.25, 2.125, 2.0, 1.875, 1.75]
PREFIXES = [  # of one process or machine, by its number
    *["10.96.202.{}: ", "worker-{}: ", "node1{}: ", "gpu-node-0{}.cluster.local: ", "ip-10-0-0-{}: ", "{}: ", " {}: "],
    *["[default{}]:", "[rank{}]:", "[rank{}]: [INFO] ", "[Rank {}] ", "rank{}: ", "Rank {}: ", "[1,{}]<stderr>:"],
    *["[1,mpirank:{},algo-1]<stdout>:", "trainer-{}  | ", "12:00:01 worker.{}  | ", "[pod/trainer-{}/main] "],
    *[
        "(TrainWorker pid=12{}, ip=10.0.0.1) ",
        "(RayTrainWorker pid=7{}) ",
        "node12: [rank{}]: 2026-01-01 00:00:00,123 - root - INFO - ",
    ],
    *["Jan 01 00:00:0{0} gpu{0} python3[123]: ", "node{}: [rank0]:"],
]
ALONE = [
    "srun: ",
    "2026-01-01T00:00:00.000000000Z stdout F ",
    "Jan 01 00:00:00 host prog[123]: ",
    "[pod/job-x7k2p/main] ",
    "worker stdout | ",
]
FORMS = {
    "huggingface-console": "{{'loss': {loss}, 'learning_rate': 1e-05, 'epoch': {epoch}}}",
    "nanogpt": "iter {step}: loss {loss}, time 33.50ms, mfu 10.00%",
    "torchtitan": "step: {step}  loss: {loss}  memory:  2.31GiB(2.90%)  tps: 1,234  mfu: 0.40%",
    "key-value text": "step {step} | loss {loss} | lr 1e-05",
    "verl": "step:{step} - actor/pg_loss:{loss} - actor/lr:1e-06",
}


def log_of(text: str) -> RawLog:
    (log,) = read(Source("x.log", content=text.encode()))
    return log


def lines_of(form: str, losses: list[float] = LOSSES) -> list[str]:
    return [FORMS[form].format(step=10 * k, epoch=k / 10, loss=loss) for k, loss in enumerate(losses, 1)]


def losses_of(log: RawLog) -> list[float]:
    (name,) = (name for name in log.columns if "loss" in name and "scale" not in name)
    return log.columns[name].values.tolist()


@pytest.mark.parametrize("form", FORMS)
def test_the_same_curve_under_every_prefix(form: str) -> None:
    plain = log_of("\n".join(lines_of(form)))
    assert repr(losses_of(plain)) == repr(LOSSES)
    for prefix in [*PREFIXES, *ALONE]:
        log = log_of("\n".join(prefix.format(0) + line for line in lines_of(form)))
        assert (log.format, repr(log.columns)) == (plain.format, repr(plain.columns)), prefix


@pytest.mark.parametrize("form", FORMS)
def test_one_record_of_all_ranks_and_hosts(form: str) -> None:
    plain = log_of("\n".join(lines_of(form)))
    for prefix in PREFIXES:
        log = log_of("\n".join(prefix.format(host) + line for line in lines_of(form) for host in (1, 0, 3, 2)))
        assert repr(log.columns) == repr(plain.columns), prefix
        assert any("24 records of other" in note for note in log.notes), prefix


@pytest.mark.parametrize("form", FORMS)
def test_prints_without_a_name_that_are_equal_are_copies(form: str) -> None:
    plain = log_of("\n".join(lines_of(form)))
    for before in ("", "2026-01-01 00:00:00,123 - INFO - ", "INFO:root:"):
        log = log_of("\n".join(text for line in lines_of(form) for text in (line, before + line)))
        assert repr(log.columns) == repr(plain.columns), before
        assert any("printed 2 times" in note for note in log.notes)


@pytest.mark.parametrize("form", ["nanogpt", "torchtitan", "key-value text"])
@pytest.mark.parametrize("order", ["in turn", "a step behind"])
def test_prints_without_a_name_are_averaged(form: str, order: str) -> None:
    losses = [value for value in LOSSES if value == value]
    ranks = [lines_of(form, [loss + apart for loss in losses]) for apart in (-0.375, 0.125, 0.0, 0.25)]
    if order == "a step behind":
        ranks[2].insert(0, "")
    log = log_of("\n".join(itertools.chain(*itertools.zip_longest(*ranks, fillvalue=""))))
    assert losses_of(log) == losses
    assert any(note.startswith("4 prints of each step") for note in log.notes)


def test_a_rank_that_is_not_finite_makes_the_mean_so() -> None:
    text = "".join(
        f"step {k} loss {3 - k / 10}\nstep {k} loss {'nan' if k == 4 else 3 - k / 20}\n" for k in range(1, 9)
    )
    assert [math.isnan(loss) for loss in losses_of(log_of(text))] == [k == 4 for k in range(1, 9)]


def test_the_note_names_the_rank_whose_loss_is_not_finite() -> None:
    text = "".join(
        f"rank={r} step={k} loss={'nan' if r == 2 and k > 5 else 3 - k / 10 - r / 100}\n"
        for k in range(1, 9)
        for r in range(3)
    )
    assert "3 prints of each step (rank) were averaged; of rank 2, 3 losses are not finite" in log_of(text).notes
    (told,) = log_of(text).events
    assert (told.kind, told.step, told.fields) == ("broken_rank", 6, {"whose": "rank 2", "records": 3})


def test_a_rank_in_front_whose_loss_is_not_finite_is_told() -> None:
    text = "".join(
        f"[rank{r}]: step {k} loss {'nan' if r == 2 and k > 5 else 3 - k / 10 - r / 100}\n"
        for k in range(1, 9)
        for r in range(3)
    )
    (told,) = log_of(text).events
    assert (told.kind, told.step, told.fields) == ("broken_rank", 6, {"whose": "rank 2", "records": 3})


def test_counted_micro_batches_are_left_alone() -> None:
    item = "{{'loss': {}, 'micro': {}, 'step': {}}}\n"
    text = "".join(item.format(3 - k / 10 - m / 100, m, k) for k in range(1, 9) for m in range(4))
    assert len(losses_of(log_of(text))) == 32


def test_a_run_that_begins_again_is_none_of_ranks() -> None:
    once = "".join(f"step {k} loss {3 - k / 10}\n" for k in range(1, 9))
    again = once.replace("loss 2.", "loss 1.")
    assert len(losses_of(log_of(once + again))) == 16
    assert len(losses_of(log_of(once + once))) == 16


def test_a_rank_fills_in_what_the_lowest_has_not_printed() -> None:
    text = "".join(f"[rank{r}]: step {k} loss {k}.{r}\n" for k in range(1, 9) for r in (0, 1) if not (r == 0 and k > 5))
    assert losses_of(log_of(text)) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.1, 7.1, 8.1]


def test_a_collapsed_run_is_no_run_printed_twice() -> None:
    text = "".join(f"{{'loss': 0.0, 'learning_rate': 1e-05, 'epoch': {k // 2 / 100}}}\n" for k in range(40))
    assert len(losses_of(log_of(text))) == 40


def test_numbers_in_front_that_never_come_again_are_no_ranks() -> None:
    assert len(losses_of(log_of("".join(f"{k}: step {k} loss {3 - k / 10}\n" for k in range(1, 9))))) == 8


def test_a_rank_without_a_tag_that_ends_before_the_other() -> None:
    lines = [f"step: {k} loss: {9 - k / 20 + rank}\n" for k in range(1, 61) for rank in (0, 0.25)[: 2 if k < 50 else 1]]
    (run,) = runs_of(Source("a.log", content="".join(lines).encode()))
    assert run["loss"].steps.tolist() == list(range(1, 61))
    assert run["loss"].values[[0, 48, 49, 59]].tolist() == [9.075, 6.675, 6.5, 6.0]


def test_what_was_seen_between_rows_stays_between_those_that_are_kept() -> None:
    table = Table()
    for step in range(4):
        table.add(step + 1, {STEP: step, "loss": 2.5})
        table.happened(Event("skipped_step", step))
    table.keep(np.array([False, True, False, True]))
    assert table.event_rows == [0, 1, 1, 2]
    assert table.cells(STEP).tolist() == [1, 3]


@pytest.mark.parametrize(
    "prefix", ["[rank{}]: ", "{}: ", "[Rank {}] ", "[default{}]:", "node1{}: ", "(RayTrainWorker pid=7{}) "]
)
@pytest.mark.parametrize("form", FORMS)
def test_a_value_of_any_rank_that_is_not_finite_is_kept_with_its_line(form: str, prefix: str) -> None:
    sound, sick = LOSSES[3:], [2.25, 2.125, math.nan, math.inf, 1.75]
    pairs = zip(lines_of(form, sound), lines_of(form, sick), strict=True)
    log = log_of("\n".join(prefix.format(rank) + line for pair in pairs for rank, line in enumerate(pair)))
    assert repr(losses_of(log)) == repr([2.25, 2.125, math.nan, math.inf, 1.75])
    assert log.lines is not None
    assert log.lines.tolist() == [1, 3, 6, 8, 9]
    assert any("5 records of other" in note and "but for 2 values" in note for note in log.notes)


def test_a_rank_that_measures_no_loss_breaks_none() -> None:
    text = "".join(f"[rank{r}]: step {k} loss {'nan' if r else 3 - k / 9}\n" for k in range(1, 9) for r in (0, 1))
    assert np.isfinite(losses_of(log_of(text))).all()


def test_a_nan_from_before_a_restart_is_of_that_time() -> None:
    def part(first: int, sick: bool) -> str:
        bad = {(1, k) for k in (7, 8) if sick}
        return "".join(
            f"[rank{r}]: step {k} loss {'nan' if (r, k) in bad else 3 - k / 9}\n"
            for k in range(first, 9)
            for r in (0, 1)
        )

    losses = losses_of(log_of(part(1, sick=True) + part(4, sick=False)))
    assert [math.isnan(loss) for loss in losses] == [False] * 6 + [True] * 2 + [False] * 5
