"""Histories as JSON: lists, pandas' numbered objects, bare NaN, lists of unequal length."""

import json

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers import reader_of
from lmdiag.readers.keras.history import read
from lmdiag.sources.source import Source

HISTORY = {
    "loss": [3.0, 2.5, 2.0],
    "accuracy": [0.1, 0.2, 0.3],
    "val_loss": [3.5, float("nan"), 2.5],
    "val_accuracy": [0.1, 0.2, 0.2],
}


def source(document: object) -> Source:
    return Source("history.json", content=json.dumps(document).encode())


@pytest.mark.parametrize("indent", [None, 2])
def test_one_row_per_epoch(indent):
    (run,) = runs_of(Source("h.json", content=json.dumps(HISTORY, indent=indent).encode()))
    assert (run.format, run.step_kind, run["loss"].steps.tolist()) == ("keras-history", "epoch", [1, 2, 3])
    assert str(run["val/loss"].values.tolist()) == "[3.5, nan, 2.5]"


def test_a_frame_saved_as_json():
    numbered = {name: {str(i): v for i, v in enumerate(values)} for name, values in HISTORY.items()}
    (run,) = runs_of(source(numbered))
    assert (run.format, run["loss"].values.tolist()) == ("keras-history", [3.0, 2.5, 2.0])


def test_a_history_inside_an_object():
    (run,) = runs_of(source({"history": HISTORY}))
    assert run["loss"].values.tolist() == [3.0, 2.5, 2.0]


def test_a_shorter_list_is_said():
    (log,) = read(source({"loss": [3, 2, 1], "val_loss": [4, 3]}))
    assert log.columns["val_loss"].rows.tolist() == [0, 1]
    assert '"val_loss" has 2 values for 3 epochs' in log.skipped[0].reason


@pytest.mark.parametrize(
    "document",
    [
        {"log_history": [{"loss": 1}]},
        {"iters": [1, 2], "loss": [3, 2], "val_loss": [3, 2]},
        {"step": 1, "loss": 2.5},
        {"loss": 2.5},
    ],
)
def test_other_documents_are_left_to_others(document):
    chosen = reader_of(source(document))
    assert chosen is None or not chosen.__name__.endswith("keras_history")


@pytest.mark.parametrize("content", [b'{"loss": [1, 2', b'{"loss": []}', b'{"val_loss": [1]}', b"[]"])
def test_what_is_no_history(content):
    with pytest.raises(UnreadableLog):
        read(Source("history.json", content=content))
