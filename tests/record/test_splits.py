"""Evaluation metrics are told from training metrics by their names."""

import numpy as np
import pytest

from lmdiag.record.splits import by_split


@pytest.mark.parametrize(
    ("name", "split", "metric"),
    [
        ("loss", "", "loss"),
        ("train_loss", "", "train_loss"),
        ("val_loss", "val", "loss"),
        ("eval/accuracy", "val", "accuracy"),
        ("validation_loss", "val", "loss"),
        ("test/f1", "test", "f1"),
        ("value_loss", "", "value_loss"),
        ("evaluations", "", "evaluations"),
    ],
)
def test_names(name, split, metric):
    assert by_split({name: 1.0}) == {split: {metric: 1.0}}


def test_what_is_no_number_is_left_out():
    assert by_split({"a": "words", "b": None, "c": [1]}) == {}


def test_what_a_record_says_of_itself_is_no_metric():
    assert by_split({"step": 3, "val_step": 3, "val_split": 1, "time": 0.0, "self": 2}) == {"": {"self": 2}}


def test_numbers_of_numpy_are_numbers():
    assert by_split({"reward": np.float32(0.5), "val_loss": np.array([2.0]), "many": np.zeros(2)}) == {
        "": {"reward": 0.5},
        "val": {"loss": 2.0},
    }
