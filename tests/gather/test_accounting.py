"""The account of a log: every line and every column is in it, and what was chosen."""

import pytest

from lmdiag.account import Skipped, joined
from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source


def read(name, text):
    (run,) = runs_of(Source(name, content=text.encode()))
    return run


def uses(run):
    return {column.name: (column.use, *column.metrics) for column in run.account.columns}


def lines_of(run):
    account = run.account
    return account.lines, account.with_records, account.blank, account.text, account.lost


def records(**others):
    """Records of JSON; N in a value stands for the step."""
    cells = ", ".join(f'"{name}": {value}' for name, value in others.items())
    return "".join(f'{{"step": {n}, {cells}}}\n'.replace("N", str(n)) for n in range(1, 30))


def test_lines_of_a_table():
    run = read("a.csv", "# run 7\nstep,loss,note\n1,4.5,ok\n\n2,4.25\nstep,loss,note\n3,4.0,ok,5\n4,3.5,ok\n")
    assert lines_of(run) == (8, 3, 1, 3, 1)
    assert [(d.reason, d.count, d.line) for d in run.account.dropped] == [("4 fields where the header has 3", 1, 7)]
    assert run["loss"].values.tolist() == [4.5, 4.25, 3.5]


def test_lines_of_a_print():
    text = "lr is 3e-4\n" + "".join(f"step {n} loss {5 - n / 10}\n" for n in range(1, 9)) + "\nsaved model.pt\n"
    assert lines_of(read("a.log", text)) == (11, 8, 1, 2, 0)


def test_lines_of_json():
    text = records(loss="4.N") + '\n{"step": 30, "lo\n{"log_history": []}\n'
    assert lines_of(read("a.jsonl", text)) == (32, 29, 1, 1, 1)


def test_what_columns_are_taken_for():
    text = "step,loss,lr,my_metric,split,note,nothing\n"
    text += "".join(f"{n},{4 - n / 50},1e-3,7,{'eval' if n % 5 == 0 else 'train'},word,\n" for n in range(1, 40))
    run = read("a.csv", text)
    assert uses(run) == {
        "step": ("step",),
        "loss": ("metric", "val/loss", "loss"),
        "lr": ("metric", "val/lr", "lr"),
        "my_metric": ("extra", "val/my_metric", "my_metric"),
        "split": ("split",),
        "note": ("not used",),
        "nothing": ("empty",),
    }


def test_a_column_that_tells_runs_apart():
    text = "run_id,step,loss\n" + "".join(f"{run},{n},{4 - n / 50}\n" for run in "ab" for n in range(1, 20))
    runs = runs_of(Source("a.csv", content=text.encode()))
    assert [uses(run)["run_id"] for run in runs] == [("run",)] * 2


def test_of_two_columns_for_one_metric_none_is_lost():
    run = read("a.jsonl", records(loss="9.N", nll_loss="4.N"))
    assert (run["loss"].values[0], run["logged loss"].values[0]) == (4.1, 9.1)
    assert '"nll_loss" was taken for loss, and "loss" was not' in run.account.guesses[0]
    text = "".join(records(split=f'"{split}"', loss="9.N", nll_loss="4.N") for split in ("train", "val"))
    assert set(read("a.jsonl", text)) == {"loss", "logged loss", "val/loss", "logged val/loss"}


@pytest.mark.parametrize("name", ["loss_sft", "sft_loss", "sftLoss", "my loss", "loss_of_the_day"])
def test_the_only_column_that_can_be_a_loss_is_taken_and_said(name):
    run = read("a.jsonl", records(**{name: "4.N", "speed": "7"}))
    assert run["loss"].source_name == name
    assert f'"{name}" alone can be one' in run.notes[-1]


@pytest.mark.parametrize(
    "names",
    [("loss_a", "loss_b"), ("policy_loss",), ("aux_loss",), ("loss_weight",), ("best_loss",), ("glossary",),
     ("my_loss", "reward")],
)  # fmt: skip
def test_what_is_not_surely_the_loss_is_not_taken(names):
    assert "loss" not in read("a.jsonl", records(**dict.fromkeys(names, "4.N")))


def test_an_accuracy_in_percent_is_in_the_account():
    (column,) = (c for c in read("a.jsonl", records(loss="4.N", acc="55.5")).account.columns if c.name == "acc")
    assert (column.metrics, column.unit, column.scale) == (("accuracy",), "fraction", 0.01)


def test_a_quote_that_is_never_closed_takes_no_other_rows():
    rows = [f'{n},{5 - n / 50},"fine, {n}"\n' for n in range(1, 40)]
    rows[9] = '10,4.8,"torn\n'
    run = read("a.csv", "step,loss,note\n" + "".join(rows))
    assert (len(run["loss"]), lines_of(run)) == (39, (40, 39, 0, 1, 0))


def test_a_text_over_several_lines_is_one_record():
    run = read("a.csv", 'step,loss,note\n1,2.5,"a\nb"\n2,2.25,"c"\n3,2.125,"d"\n')
    assert (run["loss"].values.tolist(), lines_of(run)) == ([2.5, 2.25, 2.125], (5, 4, 0, 1, 0))


def test_a_torn_last_row_is_not_read():
    run = read("a.csv", "step,loss,lr\n1,2.5,0.1\n2,2.25,0.1\n3,2.1")
    assert (len(run["loss"]), lines_of(run)) == (2, (4, 2, 0, 1, 1))


def test_a_terminal_title_without_end_takes_no_other_lines():
    rows = [f"step {n} loss {5 - n / 10}\n" for n in range(1, 30)]
    run = read("a.log", "".join([*rows[:9], "\x1b]0;title\n", *rows[9:], "\x07\n"]))
    assert len(run["loss"]) == 29


def test_reasons_that_quote_different_pieces_are_joined():
    found = joined([Skipped(0, "torn record: {a"), Skipped(0, "not JSON", 2), Skipped(0, "torn record: {b", 3)])
    assert [(d.reason, d.count) for d in found] == [("torn record: {a, …", 4), ("not JSON", 2)]


def test_of_a_counter_that_starts_again_it_is_said_so():
    rows = "".join(f'{{"step": {n % 50}, "loss": {5 - n / 50}}}\n' for n in range(200))
    run = read("a.jsonl", rows)
    assert [column.why for column in run.account.columns if column.name == "step"] == ["it starts again during the log"]


def test_values_that_another_one_of_their_step_replaced_are_counted():
    rows = [f'{{"step": {n}, "val_loss": {4 - n / 10}}}\n' for n in range(1, 21)]
    again = {5: '{"step": 5, "val_loss": 3.25}\n' * 2, 9: '{"step": 9, "val_loss": 2.75}\n'}
    run = read("a.jsonl", "".join(row + again.get(n, "") for n, row in enumerate(rows, 1)))
    reason = '"val_loss" has several values at one step, the last of which was read'
    assert run.account.dropped == run.skipped == (Skipped(5, reason, 2, "value"),)


def test_equal_values_of_one_step_are_copies():
    rows = "".join(f'{{"step": {n}, "loss": {5 - n / 10}}}\n' for n in (1, 2, 3, 3, 4, 5, 6, 7))
    assert read("a.jsonl", rows).account.dropped == ()
