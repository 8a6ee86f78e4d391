"""Keras' CSVLogger and histories saved with pandas: epochs from 0, `NA`, other separators; as Keras itself writes them."""

import json

import numpy as np
import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.keras.csv import can_read
from lmdiag.run import Run
from lmdiag.sources.source import Source

ROWS = "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss\n0,0.412,0.001,1.931,0.498,1.702\n1,0.538,0.001,1.544,NA,NA\n"


def run_of(text: str) -> Run:
    (run,) = runs_of(Source("training.log", content=text.encode()))
    return run


def test_epochs_completed():
    run = run_of(ROWS)
    assert (run.format, run.step_kind) == ("keras-csv", "epoch")
    assert (run["loss"].steps.tolist(), run["loss"].values.tolist()) == ([1, 2], [1.931, 1.544])
    assert (run["val/loss"].steps.tolist(), run["val/loss"].values.tolist()) == ([1], [1.702])
    assert (run["loss"].reduction, run["val/loss"].reduction) == ("epoch_mean", "")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(separator):
    assert run_of(ROWS.replace(",", separator))["loss"].values.tolist() == [1.931, 1.544]


def test_a_saved_frame_with_and_without_index():
    for start, cells in ((",", ("0,", "1,")), ("", ("", ""))):
        run = run_of(f"{start}loss,val_loss\n{cells[0]}3,4\n{cells[1]}2,3\n")
        assert (run.step_kind, run["loss"].steps.tolist(), run["val/loss"].values.tolist()) == ("epoch", [1, 2], [4, 3])


def test_an_appended_fit_begins_again():
    text = (
        "epoch,loss,val_loss\n"
        + "".join(f"{e},{3 - e / 9},3\n" for e in range(9))
        + "".join(f"{e},{2 - e / 9},3\n" for e in range(4, 14))
    )
    assert [(s.first_step, s.last_step) for s in run_of(text).segments] == [(1, 9), (5, 14)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("epoch,loss,val_loss", True),
        ("val_loss,val_accuracy,loss,accuracy", True),
        (",loss,accuracy", True),
        ("epoch,step,loss", False),
        ("iter,loss,val_loss", False),
        ("loss,time,whatever", False),
        ("epoch,train_loss,val_loss", False),
    ],
)
def test_recognised_by_its_header(header, expected):
    assert can_read("x.csv", f"{header}\n1,2,3\n".encode()) is expected


def test_nan_is_a_value_and_na_is_none():
    run = run_of("epoch,loss,val_loss\n0,3.1,2.9\n1,2.9,NA\n2,nan,nan\n3,nan,NA\n4,inf,nan\n")
    nan, inf = float("nan"), float("inf")
    np.testing.assert_equal(run["loss"].values, [3.1, 2.9, nan, nan, inf])
    assert run["val/loss"].steps.tolist() == [1, 3, 5]
    np.testing.assert_equal(run["val/loss"].values, [2.9, nan, nan])
    assert run.skipped == ()


@pytest.fixture
def keras(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def test_equal_to_what_keras_writes(tmp_path, keras):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    path = tmp_path / "training.log"
    data = (np.random.default_rng(0).normal(size=(16, 3)), np.ones(16))
    history = model.fit(
        *data, epochs=3, verbose=0, validation_data=data, callbacks=[keras.callbacks.CSVLogger(str(path))]
    ).history
    (run,) = runs_of(Source("training.log", path))
    assert run["loss"].values.tolist() == history["loss"]
    assert run["val/loss"].values.tolist() == history["val_loss"]
    (tmp_path / "history.json").write_text(json.dumps(history))
    (from_json,) = runs_of(Source("history.json", tmp_path / "history.json"))
    assert from_json.format == "keras-history"
    assert from_json["val/loss"].values.tolist() == run["val/loss"].values.tolist()
    assert from_json["loss"].steps.tolist() == [1, 2, 3]


@pytest.mark.parametrize("stopped", [False, True])
def test_equal_to_what_keras_writes_of_a_loss_that_becomes_nan(tmp_path, keras, stopped):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                self.model.layers[-1].kernel.assign(np.full((3, 1), np.nan))

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    path = tmp_path / "training.log"
    data = (np.random.default_rng(0).normal(size=(16, 3)), np.ones(16))
    callbacks = [Break(), *([keras.callbacks.TerminateOnNaN()] if stopped else []), keras.callbacks.CSVLogger(path)]
    fitted = model.fit(*data, epochs=6, verbose=0, validation_data=data, validation_freq=2, callbacks=callbacks)
    (run,) = runs_of(Source("training.log", path))
    assert np.isnan(run["loss"].values).sum() == (1 if stopped else 3)
    np.testing.assert_equal(run["loss"].values, fitted.history["loss"])
    np.testing.assert_equal(run["val/loss"].values, fitted.history["val_loss"])
    assert run["val/loss"].steps.tolist() == ([2, 4] if stopped else [2, 4, 6])
    assert run.skipped == ()
