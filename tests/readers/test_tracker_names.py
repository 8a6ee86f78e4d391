"""Names that frameworks give to trackers, and the flat parts of YAML."""

import numpy as np
import pytest

from lmdiag.naming import spelling
from lmdiag.readers.rawlog import Column
from lmdiag.readers.trackers.names import reductions, step_column, translations
from lmdiag.readers.trackers.plain_yaml import plain_yaml


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("lm-loss-training/lm loss", "loss"),
        ("lm-loss-validation/valid/lm loss validation", "val/loss"),
        ("lm-loss-validation/wiki/lm loss validation ppl", "wiki/ppl"),
        ("grad-norm/grad-norm", "grad_norm"),
        ("grad-norm vs samples", None),
        ("throughput", "tflops_per_device"),
        ("Train/Samples/train_loss", "loss"),
        ("Train/Samples/lr", "lr"),
        ("eval/c4/CE loss", "c4/loss"),
        ("eval/test/CE loss", "test/loss"),
        ("val_loss/dataloader_idx_0", "val0/loss"),
        ("hp_metric", None),
        ("system/cpu", None),
    ],
)
def test_names_of_frameworks(column, expected):
    assert translations([column]).get(column, spelling(column).name) == expected


@pytest.mark.parametrize("column", ["train/loss", "eval/loss", "my/own metric", "hp_metrics", "loss vs time"])
def test_other_names_are_left_alone(column):
    assert translations([column]) == {}


def test_the_first_of_two_columns_of_one_meaning_is_taken():
    assert translations(["Train/Samples/lr", "Train/Samples/train_lr"]) == {"Train/Samples/lr": "lr"}


def column(*values: float) -> Column:
    return Column(np.arange(len(values)), np.array(values))


def test_the_counter_of_steps():
    assert step_column({"iter": column(0, 5, 9), "_step": column(0, 1, 2)}) == "iter"
    assert step_column({"iter": column(0, 5, 0, 5), "_step": column(0, 1, 2, 3)}) == "_step"
    assert step_column({"loss": column(1, 2)}) == ""


def test_the_loss_of_the_trainer_is_a_mean_unless_every_step_is_logged():
    columns = ["train/loss", "train/epoch", "train/learning_rate"]
    assert reductions(columns, {"logging_steps": 10}) == {"train/loss": "window_mean"}
    assert reductions(columns, {"logging_steps": 1}) == reductions(["train/loss"], {}) == {}


def test_yaml_of_plain_values_and_mappings():
    text = 'a: 1\nb:\n  c: 2\n  k:\n  - l: 3\n    m: 4\n  n:\n    o: p\nd: [1, 2]\ne: null\nf: "x: y"\n- g: 3\nh: !!python/object {}\ni: nan\n'
    found = plain_yaml(text)
    assert found.pop("i") != found.get("i")
    assert found == {"a": 1, "b": {"c": 2, "n": {"o": "p"}}, "e": None, "f": "x: y"}
