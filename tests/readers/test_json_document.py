"""JSON documents: lists of records, objects of lists, and either inside other objects."""

import json

import pytest

from lmdiag.diagnose import diagnose
from lmdiag.errors import UnreadableLog
from lmdiag.gather import run_of
from lmdiag.judging.reading import runs_of
from lmdiag.readers.json import document as json_document
from lmdiag.reports.phrases import checkpoint
from lmdiag.sources.source import Source

RECORDS = [{"step": s, "loss": 4.0 - s, "memory": {"peak_gb": s}} for s in (1, 2, 3)]


def read(document, indent=None):
    text = document if isinstance(document, str) else json.dumps(document, indent=indent)
    source = Source("a.json", content=text.encode())
    assert json_document.can_read(source.name, source.head)
    (raw,) = json_document.read(source)
    return run_of(raw)


def points(run, metric="loss"):
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document",
    [
        RECORDS,
        {"config": {"vocab_size": 9}, "history": RECORDS},
        {"session": {"per_step": RECORDS, "other": [1, 2]}},
        {"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]},
        {"meta": {"x": 1}, "iters": [1, 2, 3], "loss": [3.0, 2.0, 1.0]},
        {"step": {"0": 1, "1": 2, "2": 3}, "loss": {"0": 3.0, "1": 2.0, "2": 1.0}},
    ],
    ids=["records", "history", "deep", "lists", "iters", "objects"],
)
def test_the_same_curve_in_any_shape(document, indent):
    assert points(read(document, indent)) == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_lists_of_two_lengths_have_steps_of_their_own():
    run = read(
        {"iters": [5, 6, 7], "loss": [3, 2, 1], "val_iters": [0, 7], "val_loss": [4, 2], "train_loss_eval": [4, 1.5]}, 2
    )
    assert points(run) == [(5, 3), (6, 2), (7, 1)]
    assert points(run, "val/loss") == [(0, 4), (7, 2)]
    assert points(run, "train/loss") == [(0, 4), (7, 1.5)]


def test_lists_of_two_sets_have_steps_of_their_own():
    run = read({"train": {"step": [5, 6, 7], "loss": [3, 2, 1]}, "val": {"step": [5, 7], "loss": [4, 2]}}, 2)
    assert (points(run), points(run, "val/loss")) == ([(5, 3), (6, 2), (7, 1)], [(5, 4), (7, 2)])


def test_a_list_without_steps_beside_lists_with_steps_is_counted():
    run = read({"iters": [5, 6, 7], "loss": [3, 2, 1], "val_loss": [4, 2]}, 2)
    assert ("val/loss" in run, run.skipped[0].reason) == (False, "val_loss: 2 values without a list of their steps")


def test_of_records_and_lists_those_are_read_that_hold_an_evaluation_and_the_others_are_counted():
    lists = {"train_losses": [4.0 - k / 10 for k in range(20)], "val_losses": [3.9, 2.9, 2.4]}
    cycles = [{"cycle": k, "avg_loss": 3.0} for k in range(4)]
    run = read({**lists, "cycles": cycles})
    assert (len(run["loss"]), len(run["val/loss"])) == (20, 3)
    assert [skipped.reason for skipped in run.skipped] == ["a record beside lists of losses"] * 4
    run = read({"train_losses": lists["train_losses"], "history": RECORDS})
    assert points(run) == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert sum(skipped.count for skipped in run.skipped) == 20


def test_advice_names_no_place_that_was_guessed_as_known():
    val = [3.0, 2.5, 2.2, 2.0, 2.1, 2.3, 2.5, 2.7, 2.9, 3.1, 3.3]
    train = [3.0 - 0.01 * k for k in range(150)]
    guessed, counted = (
        diagnose(read(lists))
        for lists in (
            {"loss": train, "val_loss": val},
            {"iter": list(range(1, 151)), "loss": train, "val_iters": [14 * k for k in range(1, 12)], "val_loss": val},
        )
    )
    for diagnosis, place in ((guessed, "about record 55"), (counted, "step 56")):
        (found,) = (f for f in diagnosis.findings if f.rule == "overfitting")
        assert found.message.startswith(f"val/loss was best at {place} ")
        assert found.advice[0].startswith(f"Keep the checkpoint of {place},")
        assert checkpoint(diagnosis).startswith(place)


def test_lists_alone_count_records():
    run = read({"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]})
    assert (run.step_kind, points(run, "val/loss")) == ("record", [(1, 3.5), (2, 2.5)])


def test_settings_beside_the_history_are_kept():
    run = read({"config": {"vocab_size": 9, "lr": 0.1}, "history": RECORDS})
    assert (run.config["model"], run.config["config"]["lr"]) == ({"vocab_size": 9}, 0.1)


def test_a_cut_list_gives_its_whole_records():
    run = read(json.dumps(RECORDS, indent=1)[:-60])
    assert points(run) == [(1, 3.0), (2, 2.0)]
    assert "cut off" in run.skipped[-1].reason


@pytest.mark.parametrize("indent", [None, 1])
def test_records_one_after_another_are_not_called_damaged(indent):
    first = {"step": 0, "loss": 4.0, "config": "x" * 70_000}  # too long a line to see at once that it is one of several
    run = read("\n".join(json.dumps(record, indent=indent) for record in (first, *RECORDS)))
    assert len(points(run)) == len(RECORDS) + 1
    assert run.skipped == ()


def test_json_without_a_curve_is_refused():
    with pytest.raises(UnreadableLog, match="neither a list of records"):
        read({"model": "x", "layers": [1, 2, 3]}, 2)


@pytest.mark.parametrize(
    ("name", "document", "metric"),
    [
        ("runs/loss_history.json", {"train": [3.0, 2.0, 1.0], "val": [3.5, 2.5, 1.5]}, "val/loss"),
        ("a.json", {"losses": {"train": [3.0, 2.0, 1.0], "valid": [3.5, 2.5, 1.5]}}, "val/loss"),
        ("train_loss.json", [3.0, 2.0, 1.0], "loss"),
    ],
)
def test_what_is_called_a_loss_is_one(name, document, metric):
    source = Source(name, content=json.dumps(document).encode())
    assert json_document.can_read(source.name, source.head)
    run = run_of(json_document.read(source)[0])
    assert run["loss"].values.tolist() == [3.0, 2.0, 1.0]
    assert len(run[metric]) == 3


def test_lists_of_splits_without_a_name_are_refused():
    with pytest.raises(UnreadableLog):
        json_document.read(Source("scores.json", content=b'{"train": [0.1, 0.2], "val": [0.1, 0.3]}'))
    assert not json_document.can_read("scores.json", b"[0.1, 0.2]")


def test_objects_numbered_by_their_epoch_are_records() -> None:
    run = read({f"epoch_{k}": {"train_loss": 5 - k, "val_loss": 6 - k} for k in (1, 2, 3)})
    assert run["loss"].steps.tolist() == [1, 2, 3]
    assert run["val/loss"].values.tolist() == [5, 4, 3]


def test_lists_of_each_set_in_an_object_of_its_own() -> None:
    run = read({"train": {"loss": [5, 4, 3]}, "val": {"loss": [6, 5, 4]}, "lr": 0.1})
    assert run["loss"].values.tolist() == [5, 4, 3]
    assert run["val/loss"].values.tolist() == [6, 5, 4]


def test_names_in_the_plural() -> None:
    run = read({"train_losses": [5, 4, 3], "val_losses": [6, 5, 4], "track_tokens_seen": [10, 20, 30]})
    assert (set(run.series), run.step_kind) == ({"loss", "val/loss"}, "tokens")
    assert run["loss"].steps.tolist() == [10, 20, 30]


N = range(1, 31)
CURVE = [(k * 10, 5 - k / 10) for k in N]
ROWS = {
    "rows": ("loss_rows.json", [[s, v, v + 0.25] for s, v in CURVE], {"loss": 30, "val/loss": 30}),
    "under a name": ("a.json", {"history": [[s, v] for s, v in CURVE]}, {"loss": 30}),
    "a rate is no loss": ("loss.json", [[s, v, 1e-4] for s, v in CURVE], {"loss": 30, "value 3": 30}),
    "tensorboard": ("run-a-tag-train_loss.json", [[1.7e9 + s, s, v] for s, v in CURVE], {"loss": 30, "time": 30}),
    "pairs": ("a.json", {"train_loss": CURVE, "val_loss": CURVE[::10]}, {"loss": 30, "val/loss": 3}),
    "names apart": ("a.json", {"columns": ["step", "loss"], "index": list(N), "data": CURVE}, {"loss": 30}),
    "names in the first row": ("a.json", [["step", "train_loss"], *CURVE], {"loss": 30}),
    "one value in each": ("a.json", [{"step": s, "key": "loss", "value": v} for s, v in CURVE], {"loss": 30}),
    "of a server": (
        "a.json",
        {"metrics": [{"step": str(s), "key": "loss", "value": v} for s, v in CURVE]},
        {"loss": 30},
    ),
}


@pytest.mark.parametrize(("name", "document", "series"), ROWS.values(), ids=ROWS)
def test_rows_whose_values_have_no_names(name, document, series):
    source = Source(name, content=json.dumps(document).encode())
    assert json_document.can_read(source.name, source.head)
    run = run_of(json_document.read(source)[0])
    assert {metric: len(found) for metric, found in run.series.items()} == series
    assert points(run) == CURVE


def test_what_was_guessed_of_rows_is_said():
    source = Source("loss.json", content=json.dumps([[s, v, v + 0.25] for s, v in CURVE]).encode())
    (note,) = json_document.read(source)[0].notes
    assert "the first value was taken for the step" in note


def test_rows_that_nothing_calls_a_curve_are_refused():
    with pytest.raises(UnreadableLog):
        json_document.read(Source("scores.json", content=json.dumps([[s, v] for s, v in CURVE]).encode()))


PRINTED = [f"step {s} loss {v:.3f}" for s, v in CURVE]
TEXTS = {
    "times in brackets": [f"[2024-01-01 10:00:{k:02d}] {line}" for k, line in enumerate(PRINTED)],
    "two numbers in brackets": [f"[1, {s}] loss: {v:.3f}" for s, v in CURVE],
    "two brackets": [f"[[{s}/300]] loss: {v:.3f}" for s, v in CURVE],
    "settings as JSON first": [json.dumps({"lr": 0.1, "loss": "ce"}, indent=2), *PRINTED],
    "settings of Python first": [str({"loss": "ce", "betas": [0.9, 0.95]}), *PRINTED],
    "a list first": ["[1, 2, 3]", *PRINTED],
    "dictionaries": [str({"loss": v, "learning_rate": 1e-5, "epoch": s / 100}) for s, v in CURVE],
}


@pytest.mark.parametrize("name", ["train.log", "loss.json", "my_loss.log", "losses"])
@pytest.mark.parametrize("lines", TEXTS.values(), ids=TEXTS)
def test_text_is_no_document_whatever_it_is_called(lines, name):
    source = Source(name, content="\n".join(lines).encode())
    assert not json_document.can_read(source.name, source.head)


NULLS = {
    "columns": {
        "step": list(range(40)),
        "loss": [5 - k / 10 if k < 20 else None for k in range(40)],
        "lr": [1e-3] * 40,
    },
    "records": [{"step": k, "loss": 5 - k / 10 if k < 20 else None, "lr": 1e-3} for k in range(40)],
    "a trainer state": {
        "log_history": [{"step": k, "loss": 5 - k / 10 if k < 20 else None, "learning_rate": 1e-3} for k in range(40)]
    },
    "keras": {"loss": [5 - k / 10 if k < 20 else None for k in range(40)], "lr": [1e-3] * 40, "val_loss": [5.0] * 40},
}


@pytest.mark.parametrize("document", NULLS.values(), ids=NULLS)
def test_a_loss_that_becomes_null_is_told(document):
    (run,) = runs_of(Source("history.json", content=json.dumps(document).encode()))
    assert len(run["loss"]) == 20
    assert "missing-loss" in {finding.rule for finding in diagnose(run).findings}


FRAME = {"step": [10, 20, 30, 40], "loss": [5.5, 5.25, None, 4.5], "lr": [1e-4] * 4}


@pytest.mark.parametrize("index", ["of nobody", "of steps"])
@pytest.mark.parametrize("orient", ["split", "records", "index", "columns", "table"])
def test_frames_of_pandas(orient: str, index: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FRAME)
    text = (frame if index == "of nobody" or orient == "records" else frame.set_index("step")).to_json(orient=orient)
    run = read(text)
    assert run["loss"].steps.tolist()[0] == 10
    assert run["loss"].steps.tolist()[-1] == 40
    assert run["loss"].values.tolist()[:2] == [5.5, 5.25]


def test_an_index_that_only_numbers_rows_counts_no_steps() -> None:
    document = {"columns": ["loss"], "index": [0, 1, 2], "data": [[5.5], [5.25], [5.0]]}
    run = read(document)
    assert (run.step_kind, run["loss"].steps.tolist()) == ("record", [1, 2, 3])
