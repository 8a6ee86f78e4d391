"""Facts of a header: the same from saved settings as from a printed header."""

import pytest

from lmdiag.facts import PRINTED, SETTINGS, header_facts, printed_fact
from lmdiag.readers.messages import find_facts

FAIRSEQ = {"max_steps": 1000, "grad_clip": 1.0, "model": {"context": 1024}}


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (
            {"max_iters": 600_000, "warmup_iters": 2000, "grad_clip": 1.0},
            {"max_steps": 600_000, "warmup_steps": 2000, "grad_clip": 1.0},
        ),
        ({"max_steps": -1, "warmup_steps": 0, "max_grad_norm": 0.0, "world_size": None}, {}),
        ({"max_steps": float("nan"), "warmup_steps": "inf", "max_grad_norm": True, "vocab_size": [9]}, {}),
        ({"max_steps": 10**400, "d_model": "NaN"}, {}),
        ({"max_steps": "500", "fp16": "True"}, {"max_steps": 500, "precision": "fp16"}),
        ({"max_steps": "many", "bf16": False, "grad_clip": float("nan")}, {}),
        (
            {"architectures": ["BertForMaskedLM"], "vocab_size": 30522},
            {"task": "masked-lm", "model": {"vocab_size": 30522}},
        ),
        ({"precision": "bf16-mixed"}, {"precision": "bf16-mixed"}),
        ({"max_update": 1000, "clip_norm": 1.0, "block_size": 1024}, FAIRSEQ),
        ({"max-update": "1000", "Clip Norm": "1", "model.block_size": 1024.0}, FAIRSEQ),
        ({"optimization": {"max_update": 1000, "clip_norm": 1.0}, "args/model": {"block_size": 1024}}, FAIRSEQ),
        ({"training.steps": 50}, {"max_steps": 50}),
        ({"training": {"steps": 50, "seq_len": 8}}, {"max_steps": 50}),
    ],
)
def test_facts_in_settings(settings, facts):
    assert header_facts(settings) == {"config": settings, **facts}


def test_no_settings_are_no_facts():
    assert header_facts({}) == {}


def test_the_most_telling_name_counts_and_a_group_less_than_none():
    assert header_facts({"max_update": 5, "total_steps": 4, "max_steps": -1, "train_iters": 3})["max_steps"] == 3
    assert header_facts({"training": {"max_steps": 5}, "max_steps": 3})["max_steps"] == 3


@pytest.mark.parametrize(
    "name", ["num_steps", "iterations", "batch_size", "train_batch_size", "eval.max_steps", "teacher/vocab_size"]
)
def test_a_setting_that_can_mean_something_else_is_no_fact(name):
    assert header_facts({name: 8}) == {"config": {name: 8}}


def test_groups_deeper_than_any_are_left_out():
    settings = {"vocab_size": 9}
    for _ in range(900):
        settings = {"model": settings}
    assert "model" not in header_facts(settings)


@pytest.mark.parametrize("name", PRINTED)
def test_a_printed_header_states_the_same(name):
    find_facts(f"  {name}: 8", printed := {})
    assert list(printed) == [printed_fact(name).partition(".")[0]]
    if name in SETTINGS[printed_fact(name)]:
        assert header_facts({name: 8}) == {"config": {name: 8}, **printed}


def test_every_spelling_stands_for_one_fact():
    assert len(PRINTED) == sum(len(names) for names in SETTINGS.values()) + 4  # of which settings are no facts


def test_a_printed_config_states_the_same_as_a_saved_one():
    find_facts("Namespace(max_update=1000, clip_norm=1.0, block_size=1024)", config := {})
    assert config == FAIRSEQ
