"""Evaluation metrics are told from training metrics by their names."""

import pytest

from lmdiag.record.judge import Judge
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


def test_a_judge_that_cannot_judge_says_so(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match='stop_on is "fatal"'):
        Judge(tmp_path / "a.jsonl", "fatal")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="one process"):
        Judge(tmp_path / "a.jsonl", "error")


def test_a_judge_that_was_not_asked_never_looks(tmp_path):
    judge = Judge(tmp_path / "missing.jsonl", every_s=0.0)
    assert not any(judge.says_stop() for _ in range(3))
    judge.close()
