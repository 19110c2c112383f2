"""Switching optimisations off: another way, the same results."""
from unittest import mock

from shufflenet_det.benchmark.ablation import SWITCHES, Without, ablated
from shufflenet_det.benchmark.networks import find_network
from shufflenet_det.benchmark.speed import DEPLOY, FORWARD, TRAIN
from shufflenet_det.models.fast import chain, conditions
from shufflenet_det.models.fast.script import compiled

import pytest
import torch

NETWORK = find_network('shufflenet-v1-0.25x-g3')
IMAGES = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def result(mode: str, network) -> list[torch.Tensor]:
    """The last map, and gradients in training."""
    if mode != TRAIN:
        with torch.no_grad():
            model = network.deployed() if mode == DEPLOY else network.build().eval()
            return [model(IMAGES)[-1]]
    model = network.build().train()
    out = model(IMAGES)[-1]
    out.square().mean().backward()
    return [out.detach(), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize('mode', [FORWARD, DEPLOY, TRAIN])
def test_results_stay(mode, monkeypatch):
    monkeypatch.setattr(conditions, '_FEWEST_TO_JOIN', 0)
    full, *others = ablated(NETWORK, mode)
    assert full is NETWORK
    assert len(others) == sum(mode in modes for _, modes in SWITCHES.values())
    expected = result(mode, full)
    for other in others:
        for a, b in zip(result(mode, other), expected, strict=True):
            assert (a - b).abs().max() <= 1e-3 * b.abs().max() + 1e-5, other.name


def operators(model: torch.nn.Module, mode: str) -> list[str]:
    with torch.profiler.profile() as profile:
        if mode == TRAIN:
            model(IMAGES)[-1].mean().backward()
        else:
            with torch.no_grad():
                model(IMAGES)
    return [event.name for event in profile.events()] + [
        # a shuffle is the same operators on another order of the memory
        str([list(shape) for shape in event.input_shapes]) for event in profile.events()
    ]


@pytest.mark.parametrize('name', SWITCHES)
def test_each_switch_changes_what_runs(name, monkeypatch):
    monkeypatch.setattr(conditions, '_FEWEST_TO_JOIN', 0)
    monkeypatch.setattr(chain, '_FEWEST_TO_FOLD', 0)
    monkeypatch.setattr(chain, '_NARROWEST_GROUP', 0)
    switch, modes = SWITCHES[name]
    mode = modes[-1]

    def build() -> torch.nn.Module:
        return NETWORK.deployed() if mode == DEPLOY else NETWORK.build().train()

    full, ablation = build(), Without(build(), switch)
    if name == 'TorchScript':
        with mock.patch.object(torch.jit, 'script', wraps=torch.jit.script) as script:
            compiled.cache_clear()
            operators(ablation, mode)
            assert not script.called
            operators(full, mode)
            assert script.called
    elif name == 'channels last':
        seen = []
        for network, model in ((full, full), (ablation.network, ablation)):
            network.layers[0][1].register_forward_pre_hook(
                lambda module, args: seen.append(args[0].is_contiguous())
            )
            with torch.no_grad():
                model(IMAGES)
        assert seen == [False, True]
    else:
        assert operators(full, mode) != operators(ablation, mode)


def test_networks_of_other_libraries_stay():
    peer = find_network('mmpretrain:shufflenet-v1-0.25x-g3')
    assert ablated(peer, TRAIN) == [peer]
