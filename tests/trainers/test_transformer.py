"""What the transformer can do besides attending: rotary positions, forgetting activations, Muon."""

import pytest

torch = pytest.importorskip("torch")

from tests.trainers.conftest import values  # noqa: E402
from trainers import transformer  # noqa: E402

SMALL = {"n_layer": 2, "n_head": 2, "d_model": 16, "context": 12}


def built(**changes):
    """Return a model, and ids [2, 12] for it."""
    torch.manual_seed(1)
    model = transformer.Transformer(transformer.Settings(**SMALL | changes), 20)
    return model, torch.randint(20, (2, 12))


def test_rotary_positions_tell_only_how_far_two_tokens_are_apart():
    waves = transformer.sinusoids(12, 8) / 2**0.5
    q, k = torch.randn(8), torch.randn(8)
    turned = [transformer.rotated(x.expand(12, 8), waves) for x in (q, k)]
    products = turned[0] @ turned[1].T
    for apart in range(-11, 12):
        same = products.diagonal(apart)
        assert same.tolist() == pytest.approx([float(same[0])] * len(same), abs=1e-5)
    assert products[0].std() > 0.01
    assert turned[0].norm(dim=1).tolist() == pytest.approx([float(q.norm())] * 12)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_no_position_sees_what_comes_after_it(positions):
    model, ids = built(positions=positions)
    other = ids.clone()
    other[:, 8] = (other[:, 8] + 1) % 20
    before, after = model(ids)[0], model(other)[0]
    assert torch.equal(before[:, :8], after[:, :8])
    assert not torch.equal(before[:, 8:], after[:, 8:])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_forgetting_activations_changes_no_gradient(dropout):
    gradients = []
    for recompute in (False, True):
        model, ids = built(recompute=recompute, dropout=dropout)
        torch.manual_seed(2)
        model.train()(ids)[0].square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def numbers_kept(recompute):
    """Return how many numbers a forward pass keeps for the way back."""
    model, ids = built(recompute=recompute)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        model.train()(ids)
    return sum(sizes)


def test_forgotten_activations_are_not_kept():
    assert numbers_kept(recompute=True) < numbers_kept(recompute=False) / 2


def test_rotary_positions_need_pairs_of_numbers():
    with pytest.raises(ValueError, match="even"):
        built(positions="rotary", d_model=18)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_trains_in_bf16(train, positions):
    losses = values(train("--precision", "bf16", "--positions", positions, "--steps", 20), "loss")
    assert losses[-1] < losses[0] - 0.1


def test_muon_moves_the_matrices_of_the_blocks_and_adam_the_rest():
    model, _ = built()
    adam, muon = transformer.optimizer(transformer.Settings(**SMALL, optimizer="muon"), model).parts
    moved = [{id(p) for group in part.param_groups for p in group["params"]} for part in (adam, muon)]
    assert moved[0] | moved[1] == {id(p) for p in model.parameters()}
    assert moved[1] == {id(p) for block in model.blocks for p in block.parameters() if p.dim() == 2}


def test_muon_goes_on_after_a_stop_as_if_there_was_none(train):
    whole = train("--optimizer", "muon", "--steps", 6, "--schedule", "constant", log="whole.jsonl")
    cut = ["--optimizer", "muon", "--schedule", "constant", "--checkpoint-every", 3]
    train(*cut, "--steps", 3, log="cut.jsonl")
    again = train(*cut, "--steps", 6, "--resume", log="cut.jsonl")
    assert values(again, "loss") == values(whole, "loss")
    assert values(whole, "lr")[-1] > 0
    assert whole[0]["optimizer"] == "AdamW and Muon"
