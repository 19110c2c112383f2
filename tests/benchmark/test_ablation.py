"""Switching optimisations off: another way, the same results."""
from shufflenet_det.benchmark.ablation import SWITCHES, ablated
from shufflenet_det.benchmark.networks import ComparedNetwork, find_network
from shufflenet_det.benchmark.speed import DEPLOY, FORWARD, TRAIN
from shufflenet_det.models import DeployConv2d
from shufflenet_det.models.fast import conditions

import pytest
import torch

NETWORK = find_network('shufflenet-v1-0.25x-g3')
IMAGES = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def result(mode: str, network) -> list[torch.Tensor]:
    """The last map, and gradients in training."""
    if mode != TRAIN:
        with torch.no_grad():
            model = network.form(DEPLOY) if mode == DEPLOY else network.build().eval()
            return [model(IMAGES)[-1]]
    model = network.build().train()
    out = model(IMAGES)[-1]
    out.square().mean().backward()
    return [out.detach(), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize('mode', [FORWARD, DEPLOY, TRAIN])
def test_results_stay(mode, monkeypatch):
    monkeypatch.setattr(conditions, 'FEWEST_TO_JOIN', 0)
    full, *others = ablated(NETWORK, mode)
    assert full is NETWORK
    assert len(others) == sum(mode in modes for _, modes in SWITCHES.values())
    expected = result(mode, full)
    for other in others:
        for a, b in zip(result(mode, other), expected, strict=True):
            assert (a - b).abs().max() <= 1e-3 * b.abs().max() + 1e-5, other.name


def operators(model: torch.nn.Module, mode: str) -> list[tuple[str, list]]:
    """All operators that run, with the shapes of their inputs: a shuffle, for one, is the same
    operators on another order of the memory."""
    with torch.profiler.profile(record_shapes=True) as profile:
        if mode == TRAIN:
            model(IMAGES)[-1].mean().backward()
        else:
            with torch.no_grad():
                model(IMAGES)
    found = [(event.name, event.input_shapes) for event in profile.events()]
    assert any(shapes for _, shapes in found)
    return found


@pytest.mark.parametrize(
    ('name', 'mode'), [(name, mode) for name, (_, modes) in SWITCHES.items() for mode in modes]
)
def test_each_switch_changes_what_runs(name, mode, monkeypatch):
    monkeypatch.setattr(conditions, 'FEWEST_TO_JOIN', 0)
    (ablation,) = (side for side in ablated(NETWORK, mode) if side.name.endswith(name))

    def build(network: ComparedNetwork) -> torch.nn.Module:
        return network.form(DEPLOY) if mode == DEPLOY else network.build().train(mode == TRAIN)

    if name == 'packed weights':
        # the same operator, on weights in another order
        orders = []
        for network in (NETWORK, ablation):
            model = build(network)
            operators(model, mode)
            weights = [prepared[0] for layer in model.modules() if isinstance(layer, DeployConv2d)
                       for prepared in layer._prepared.values()]  # fmt: skip
            orders.append({weight.is_mkldnn for weight in weights})
        assert orders == [{True}, {False}]
    else:
        assert operators(build(NETWORK), mode) != operators(build(ablation), mode)


def test_networks_of_other_libraries_stay():
    peer = find_network('mmpretrain:shufflenet-v1-0.25x-g3')
    assert ablated(peer, TRAIN) == [peer]
