"""Norms of gradients, parameters and updates against the plain definitions."""

import copy

import pytest
import torch
from torch import nn

from lmdiag.record.gradients import GradientStatistics, layer_of


def norm(tensors):
    return sum(float(t.detach().double().square().sum()) for t in tensors) ** 0.5


def trained_once(model, **settings):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    statistics = GradientStatistics(model)
    model(torch.ones(3, 4)).square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    returned = statistics.before_update()
    optimizer.step()
    return gradients, float(returned), statistics.after_update(**settings)


def test_norms_are_those_of_the_definition():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    before = copy.deepcopy(model)
    gradients, returned, record = trained_once(model)
    update = norm(b - a for a, b in zip(model.parameters(), before.parameters()))
    assert record["grad_norm"] == pytest.approx(norm(gradients), rel=1e-5) == pytest.approx(returned, rel=1e-5)
    assert record["param_norm"] == pytest.approx(norm(model.parameters()), rel=1e-5)
    assert record["update_norm"] == pytest.approx(update, rel=1e-4)
    assert record["update_ratio"] == pytest.approx(update / norm(model.parameters()), rel=1e-4)
    assert list(record["layers"]) == ["0", "2"]
    first = record["layers"]["0"]
    assert first["grad_norm"] == pytest.approx(norm(gradients[:2]), rel=1e-5)
    assert set(first) == {"grad_norm", "param_norm", "update_ratio"}


def test_extra_values_come_along():
    _, _, record = trained_once(nn.Linear(4, 2), layers=False, loss=torch.tensor(2.5, requires_grad=True))
    assert record["loss"] == 2.5
    assert "layers" not in record


def test_a_second_update_is_measured_from_the_first():
    model = nn.Linear(4, 2)
    statistics = GradientStatistics(model)
    for change in (0.5, 0.25):
        statistics.before_update()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(change)
        assert statistics.after_update()["update_norm"] == pytest.approx(change * 10**0.5, rel=1e-5)


def test_layers_of_mixed_precision_are_measured_whole():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].weight.data = model[0].weight.data.to(torch.bfloat16)
    statistics = GradientStatistics(model)
    statistics.before_update()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    first = statistics.after_update()
    assert first["param_norm"] == 0
    for p in model.parameters():
        p.data.fill_(2.0)
    statistics.before_update()
    for p in model.parameters():
        p.data.mul_(1.5)
    record = statistics.after_update()
    assert record["update_norm"] == pytest.approx(23**0.5, rel=1e-5)
    assert record["layers"]["0"]["update_ratio"] == pytest.approx(1 / 3, rel=1e-5)
    assert record["layers"]["1"]["update_ratio"] == pytest.approx(1 / 3, rel=1e-5)


def test_frozen_parameters_are_left_out_and_missing_gradients_are_zero():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    statistics = GradientStatistics(model)
    model[2](torch.ones(1, 4)).sum().backward()
    statistics.before_update(update=False)
    record = statistics.after_update()
    assert list(record["layers"]) == ["1", "2"]
    assert record["layers"]["1"]["grad_norm"] == 0
    assert record["layers"]["2"]["grad_norm"] > 0
    assert "update_norm" not in record


def test_non_finite_gradients_stay_visible():
    model = nn.Linear(4, 2)
    model(torch.ones(1, 4)).sum().backward()
    model.bias.grad[0] = float("nan")
    statistics = GradientStatistics(model)
    statistics.before_update()
    assert str(statistics.after_update()["grad_norm"]) == "nan"


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("module._orig_mod.blocks.3.mlp.0.weight", "blocks.3"),
        ("model.layers.11.self_attn.q_proj.weight", "model.layers.11"),
        ("lm_head.weight", "lm_head"),
        ("positions", "positions"),
        ("rnn.weight_hh_l0_reverse", "rnn.l0"),
        ("bert.embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings"),
    ],
)
def test_layers_are_named_as_in_the_model(parameter, layer):
    assert layer_of(parameter) == layer


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_transfer_per_call_on_the_device():
    model = nn.Linear(4, 2).cuda()
    model(torch.ones(1, 4, device="cuda")).sum().backward()
    statistics = GradientStatistics(model)
    torch.cuda.set_sync_debug_mode("error")  # raises at any other place that waits for the device
    try:
        statistics.before_update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert statistics.after_update()["grad_norm"] > 0
