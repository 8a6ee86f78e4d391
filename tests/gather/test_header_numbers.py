"""Facts of a header that should be numbers and are none are left out, and said."""

import json

import pytest

from lmdiag.diagnose import diagnose
from lmdiag.gather import runs_in
from lmdiag.readers import read_source
from lmdiag.sources.source import Source

NUMBERS = ("max_steps", "warmup_steps", "grad_clip", "grad_accum", "world_size", "batch_tokens", "bytes_per_token")


def read(header: dict):
    steps = [{"type": "step", "step": i, "loss": 9 / i**0.3, "lr": 1e-3, "grad_norm": 1.0} for i in range(1, 80)]
    records = [{"type": "run", "schema": "lmdiag-log/1", "run_id": "a", **header}, *steps]
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    (run,) = runs_in(read_source(Source("a.jsonl", content=content)), "a.jsonl")
    return run


@pytest.mark.parametrize("value", ["auto", "10k", "Infinity", [1], True])
def test_words_are_left_out_and_said_and_no_rule_fails(value):
    run = read(dict.fromkeys(NUMBERS, value) | {"model": {"vocab_size": value, "name": "gpt"}})
    assert set(NUMBERS).isdisjoint(run.config)
    assert run.config["model"] == {"name": "gpt"}
    assert any("max_steps is" in note and "was not used" in note for note in run.notes)
    diagnosis = diagnose(run)
    assert not [refusal for refusal in diagnosis.not_checked if "fault of lmdiag" in refusal.why]


def test_numbers_stay():
    run = read({"max_steps": 500, "grad_clip": 0, "model": {"vocab_size": 50257}})
    assert (run.config["max_steps"], run.config["grad_clip"], run.config["model"]["vocab_size"]) == (500, 0, 50257)
    assert not any("was not used" in note for note in run.notes)


@pytest.mark.parametrize(("limits", "limit"), [([0.5] * 40, 0.5), ([0.5] * 39 + [0.4], None), ([0.0] * 40, None)])
def test_a_limit_of_the_gradient_norm_that_every_record_states_is_that_of_the_run(limits, limit):
    rows = [{"step": i, "loss": 9 - i / 10, "grad_norm": 2.0, "max_grad_norm": value} for i, value in enumerate(limits)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (run,) = runs_in(read_source(Source("a.jsonl", content=content)), "a.jsonl")
    assert run.config.get("grad_clip") == limit


@pytest.mark.parametrize(("start", "objective"), [(3.2, "causal-lm"), (0.02, "reinforcement")])
def test_a_divergence_beside_the_loss_of_a_language_model_makes_no_policy_of_it(start, objective):
    records = [{"step": i, "loss": start / i**0.1, "kl": 0.1} for i in range(1, 60)]
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    (run,) = runs_in(read_source(Source("a.jsonl", content=content)), "a.jsonl")
    assert run.objective == objective
