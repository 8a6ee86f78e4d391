"""A log whose loss nobody recognises: what is found in it is said, and the option that is proposed reads it."""

import shlex

import pytest

from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.options import ReadOptions
from lmdiag.sources.source import Source

LOSSES = [5 - step / 50 + step % 7 / 100 + 0.0003 for step in range(1, 100)]
TABLE = "when,train objective,Foo\n" + "".join(f"{n},{loss:.4f},0.5\n" for n, loss in enumerate(LOSSES, 1))
PRINTS = {
    "only numbers": "".join(f"{n * 5000} / {n}% / {loss:.4f}\n" for n, loss in enumerate(LOSSES, 1)),
    "with words": "".join(f"@{n * 5000} after {n}s -> {loss:.4f} Name{n} / ✓\n" for n, loss in enumerate(LOSSES, 1)),
    "in columns": "".join(f"{n * 5000:8d} | {loss:10.4f} | Name{n}\n" for n, loss in enumerate(LOSSES, 1)),
}


def proposed(hint):
    """The options that a hint names, as the command line takes them apart."""
    words = shlex.split(hint[hint.index("--") :])
    given = list(zip(words[::2], words[1::2], strict=True))
    pattern = "".join(value for option, value in given if option == "--pattern")
    return ReadOptions(
        mapping=dict(value.split("=", 1) for option, value in given if option == "--map"), pattern=pattern
    )


def read(name, text, options=None):
    (run,) = runs_of(Source(name, content=text.encode()), options)
    return run


@pytest.mark.parametrize(("name", "text"), [("old.csv", TABLE), *((f"{k}.log", text) for k, text in PRINTS.items())])
def test_the_proposed_option_reads_the_log(name, text):
    with pytest.raises(UnreadableLog) as refused:
        read(name, text)
    run = read(name, text, proposed(refused.value.hint))
    assert run["loss"].values.tolist() == pytest.approx(LOSSES, abs=1e-4)
    assert run["loss"].steps[-1] == (99 * 5000 if "5000" in text else 99)


def test_the_columns_of_a_table_are_listed():
    with pytest.raises(UnreadableLog, match="when, train objective, Foo") as refused:
        read("old.csv", TABLE)
    assert refused.value.hint.endswith("--map loss='train objective' --map step=when")


@pytest.mark.parametrize(
    ("name", "line", "frame"), [("a.jsonl", "\n", "{}"), ("a.json", ",", "[{}]")], ids=["lines", "document"]
)
def test_a_log_without_a_loss_says_which_option_names_one(name, line, frame):
    text = frame.replace("{}", line.join(f'{{"step": {n}, "my_cost": {loss}}}' for n, loss in enumerate(LOSSES, 1)))
    note = read(name, text).notes[-1]
    assert "there are step, my_cost" in note
    assert read(name, text, proposed(note))["loss"].values.tolist() == LOSSES


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"loss": "train_objective"}, 'it has when, train objective, Foo[\\s\\S]*did you mean "train objective"'),
        ({"los": "train objective"}, 'no metric "los"[\\s\\S]*did you mean "loss"'),
        ({"eval_loss": "train objective"}, 'did you mean "val/loss"'),
        ({"loss": "train objective/0"}, "zero is no factor"),
        ({"loss": "train objective", "step": "when/2"}, "takes no factor"),
    ],
)
def test_a_map_that_cannot_work(mapping, words):
    with pytest.raises(BadSetting, match=words):
        read("old.csv", TABLE, ReadOptions(mapping=mapping))


@pytest.mark.parametrize("said", ["train objective/25", "train objective*0.04", "train objective * 4e-2"])
def test_a_column_is_taken_with_a_factor(said):
    run = read("old.csv", TABLE, ReadOptions(mapping={"loss": said, "step": "when"}))
    assert run["loss"].values.tolist() == pytest.approx([loss / 25 for loss in LOSSES], abs=1e-5)
    (column,) = (column for column in run.account.columns if column.name == "train objective")
    assert (column.metrics, column.scale) == (("loss",), pytest.approx(0.04))


def test_a_column_of_that_very_name_is_no_factor():
    run = read("a.csv", "step,loss,loss/2\n1,4,3\n2,4,3\n", ReadOptions(mapping={"loss": "loss/2"}))
    assert run["loss"].values.tolist() == [3, 3]
    assert run["logged loss"].values.tolist() == [4, 4]
