"""The recurrent trainers: learning, carried state, exact resume."""

import pytest
import torch

from tests.trainers.conftest import values
from tests.trainers.test_loop import measured
from trainers import lstm, rnn

KINDS = {"rnn": (rnn.RNN, rnn.Settings), "lstm": (lstm.LSTM, lstm.Settings)}


@pytest.mark.parametrize("name", KINDS)
def test_learns(train, name):
    records = train("--steps", 40, "--eval-every", 20, "--layers-every", 20, "--warmup-steps", 5, name=name)
    losses = values(records, "loss", "eval")
    assert losses[-1] < losses[0] - 0.5
    layers = next(r["layers"] for r in records if "layers" in r)
    assert set(layers) == {"embedding", "out", f"{name}.l0"}


@pytest.mark.parametrize("name", KINDS)
def test_state_carries_the_text_before(name):
    kind, settings = KINDS[name]
    torch.manual_seed(0)
    model = kind(settings(d_model=8), 11).eval()
    ids = torch.randint(11, (2, 12))
    whole, _ = model(ids, None)
    _, state = model(ids[:, :5], None)
    rest, _ = model(ids[:, 5:], state)
    assert torch.allclose(rest, whole[:, 5:], atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_resumes_bit_for_bit(train, name):
    common = ["--steps", 20, "--eval-every", 50, "--n-layer", 2, *(["--dropout", 0.2] if name == "lstm" else [])]
    whole = measured(train(*common, name=name, log="whole.jsonl"))
    records = train(*common, "--fault", "crash-and-resume", name=name, log="cut.jsonl")
    resumed = records.index([r for r in records if r["type"] == "run"][1])
    assert measured(records[resumed:]) == whole[13:]


def test_a_network_without_clipping_has_larger_gradients_than_its_limit(train):
    records = train("--steps", 5, "--grad-clip", 0.01, name="rnn")
    assert values(records, "clip_frac") == [1.0] * 5
    assert min(values(records, "grad_norm")) > 0.01
