"""Several runs in one file are told apart; restarts, stages and attempts of one run are not."""

import numpy as np
import pytest

from lmdiag.gather import runs_in
from lmdiag.gather.arranged import Arranged
from lmdiag.gather.separate import separate
from lmdiag.judging.reading import runs_of
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.source import Source

FALL = [10.0, 6.0, 4.0, 3.0, 2.5]


def log_of(records):
    rows = Rows()
    for record in records:
        rows.add(record)
    return rows.log("made", "a")


def falling(steps, **cells):
    return [{"step": s, "loss": v, **cells} for s, v in zip(steps, FALL, strict=False)]


def separate_logs(log):
    return [arranged.raw for arranged in separate(Arranged(log))]


def split(records):
    return [(raw.name, raw.n_rows) for raw in separate_logs(log_of(records))]


@pytest.mark.parametrize("name", ["run_id", "experiment"])
def test_a_column_that_names_runs(name):
    records = [
        r for pair in zip(falling(range(5), **{name: "x"}), falling(range(5), **{name: "y"}), strict=True) for r in pair
    ]
    assert split(records) == [("a#x", 5), ("a#y", 5)]


def test_a_seed_that_changes_with_the_count():
    assert split(falling(range(5), seed=1) + falling(range(5), seed=2)) == [("a#seed=1", 5), ("a#seed=2", 5)]


def test_a_seed_that_is_the_same_throughout():
    assert split(falling(range(5), seed=1)) == [("a", 5)]


def test_count_and_loss_back_at_the_beginning():
    assert split(falling(range(10, 60, 10)) * 3) == [("a#1", 5), ("a#2", 5), ("a#3", 5)]


def test_attempts_that_ended_soon_are_one_run_with_the_next():
    assert split(falling([10, 20, 30]) + falling([10, 20, 30, 40, 50])) == [("a", 8)]
    nearly = falling([10, 20, 30, 40]) + falling([10, 20, 30, 40, 50])
    assert split(nearly) == [("a#1", 4), ("a#2", 5)]


def test_an_epoch_that_counts_anew_is_one_run():
    records = [{"batch": b, "loss": 9.0 - 3 * e - b} for e in range(3) for b in range(3)]
    assert split(records) == [("a", 9)]


def test_a_resume_is_one_run():
    assert split(falling([100, 200, 300, 400, 500]) + [{"step": s, "loss": 2.4} for s in (400, 500, 600)]) == [("a", 8)]


def test_rows_and_lines_go_with_their_run():
    first, second = separate_logs(log_of(falling(range(5), run="x", lr=1.0) + falling(range(5), run="y")))
    assert ("lr" in first.columns, "lr" in second.columns) == (True, False)
    assert second.columns["loss"].rows.tolist() == [0, 1, 2, 3, 4]
    assert second.texts["run"][1] == ["y"] * 5


LONG_FALL = [2 + 8 * 0.9**step for step in range(40)]


@pytest.mark.parametrize("name", ["rank", "local_rank", "process_index"])
def test_the_ranks_of_one_log_are_one_run_with_the_mean_of_their_losses(name):
    first = [{"step": step, name: 0, "loss": loss} for step, loss in enumerate(LONG_FALL)]
    second = [{"step": step, name: 1, "loss": loss + 0.1} for step, loss in enumerate(LONG_FALL)]
    ahead = zip(first[:-2], second[2:], strict=True)  # the second process is two steps ahead where they are killed
    records = second[:2] + [record for pair in ahead for record in pair]
    (run,) = runs_in([log_of(records)], "a")
    assert (run.step_kind, run.name, run["loss"].steps.tolist()) == ("step", "a", list(range(38)))
    assert run["loss"].values.tolist() == pytest.approx([loss + 0.05 for loss in LONG_FALL[:38]])
    assert "The loss is the mean of 2 ranks." in run.notes


def test_a_rank_of_one_log_that_breaks_is_named_with_its_lines():
    lines = [
        f'{{"step": {step}, "rank": {rank}, "loss": {"NaN" if rank == 2 and step >= 30 else loss + rank / 50}}}'
        for step, loss in enumerate(LONG_FALL)
        for rank in range(4)
    ]
    (run,) = runs_of(Source("a.jsonl", content="\n".join(lines).encode()))
    assert np.flatnonzero(np.isnan(run["loss"].values)).tolist() == list(range(30, 40))
    assert run.notes == (
        "The loss of rank 2 is not finite in 10 of 40 records, first at step 30 (a.jsonl, line 123); nor is the mean.",
        "The loss is the mean of 4 ranks.",
    )
    assert [(e.kind, e.step, e.fields) for e in run.events] == [("broken_rank", 30, {"whose": "rank 2", "records": 10})]
    assert run["loss"].lines[29:32].tolist() == [117, 123, 127]
    assert run.account.not_used == ()


def test_ranks_that_learn_otherwise_are_several_runs():
    records = [
        record
        for step in range(40)
        for record in ({"step": step, "rank": 0, "loss": LONG_FALL[step]}, {"step": step, "rank": 1, "loss": 9.5})
    ]
    assert [(run.name, len(run["loss"])) for run in runs_in([log_of(records)], "a")] == [
        ("a#rank=0", 40),
        ("a#rank=1", 40),
    ]


@pytest.mark.parametrize("ranks", [(0, 8), (1, 2), (16, 16), (0, 0)])
def test_other_numbers_are_no_ranks(ranks):
    records = [{"step": step, "rank": ranks[step % 2], "loss": LONG_FALL[step]} for step in range(40)]
    (run,) = runs_in([log_of(records)], "a")
    assert (len(run["loss"]), "rank" in run) == (40, True)


@pytest.mark.parametrize("step", ["Infinity", "-Infinity", "1e300"])
def test_values_at_a_step_beyond_any_run_are_counted_and_of_no_other_step(step):
    lines = [f'{{"step": {k}, "loss": {5 - k / 10}}}' for k in range(20)]
    lines[7] = f'{{"step": {step}, "loss": 77.0}}'
    (run,) = runs_of(Source("x.jsonl", content="\n".join(lines).encode()))
    assert run["loss"].steps.tolist() == [k for k in range(20) if k != 7]
    assert 77.0 not in run["loss"].values
    assert [(skipped.line, skipped.reason) for skipped in run.skipped] == [
        (8, f"step {float(step):g} is no place in a run")
    ]
