"""JSON documents: lists of records, objects of lists, and either inside other objects."""

import json

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.gather import run_of
from lmdiag.readers.json import document as json_document
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


def test_a_list_without_steps_beside_lists_with_steps_is_counted():
    run = read({"iters": [5, 6, 7], "loss": [3, 2, 1], "val_loss": [4, 2]}, 2)
    assert ("val/loss" in run, run.skipped[0].reason) == (False, "val_loss: 2 values without a list of their steps")


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
