"""Evaluation metrics are told from training metrics by their names."""

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
