"""Training of networks whose units run as functions: the results and gradients of layers."""
import copy

from shufflenet_det.models import SharedRoIStage, ShuffleNetV1, ShuffleUnit
from shufflenet_det.models.fast import conditions

import pytest
import torch
from torch import Tensor, nn

from .networks import functions_in


@pytest.fixture(autouse=True)
def of_any_size(monkeypatch):
    """Functions for small maps, too."""
    monkeypatch.setattr(conditions, 'FEWEST_TO_JOIN', 0)


def network(**settings) -> ShuffleNetV1:
    torch.manual_seed(0)
    net = ShuffleNetV1(widen_factor=0.25, **settings)
    net.init_weights()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias):
                nn.init.uniform_(tensor, -1, 1)
    return net.double().train()


def plainly(net: nn.Module) -> nn.Module:
    for unit in net.modules():
        if isinstance(unit, ShuffleUnit):
            unit.fast = False
    return net


def step(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Results, gradients and statistics of a step."""
    outs = net(x)
    outs = outs if isinstance(outs, tuple) else (outs,)
    generator = torch.Generator().manual_seed(2)
    weights = [torch.randn(out.shape, generator=generator).to(out.dtype) for out in outs]
    sum((out * weight).sum() for out, weight in zip(outs, weights, strict=True)).backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    return dict(enumerate(out.detach() for out in outs)) | gradients | dict(net.named_buffers())


def check(net: nn.Module, x: Tensor, functions: int) -> None:
    """That a step equals that of the layers, and how many units are one node in its graph."""
    outs = copy.deepcopy(net)(x)
    assert functions_in(outs[-1] if isinstance(outs, tuple) else outs) == functions
    expected_of, fast = step(plainly(copy.deepcopy(net)), x), step(net, x)
    assert fast.keys() == expected_of.keys()
    for name, expected in expected_of.items():
        if expected is None:
            assert fast[name] is None, name
        else:
            assert (fast[name] - expected).abs().max() <= 1e-9 * (1 + expected.abs().max()), name


IMAGES = torch.randn(2, 3, 65, 50, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize('groups', [1, 2, 3, 4, 8])
def test_every_unit_is_one_function(groups):
    check(network(groups=groups), IMAGES, 16)


def test_all_levels_that_are_asked_for():
    check(network(out_indices=(1, 3)), IMAGES, 16)


def test_norms_that_keep_their_statistics():
    net = network(norm_eval=True, frozen_stages=1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    check(net.train(), IMAGES, 0)


def test_frozen_stages_run_layer_by_layer():
    check(network(frozen_stages=1), IMAGES, 12)


def test_recomputed_units_run_one_by_one():
    # and are called again in the backward pass, those that have something before them to learn
    net = network(with_cp=True)
    expected = step(plainly(copy.deepcopy(net)), IMAGES)
    fast = step(net, IMAGES)
    gradients = [name for name, _ in net.named_parameters()]
    for name in (0, 1, 2, 3, *gradients):
        torch.testing.assert_close(fast[name], expected[name], rtol=1e-9, atol=1e-9)


def test_a_unit_that_is_observed_is_called():
    net = network()
    seen = []
    net.layers[1][3].register_forward_hook(lambda module, args, out: seen.append(out.shape))
    check(net, IMAGES, 16)
    # three networks, of which two are copies
    assert len(seen) == 3


def test_a_stage_that_is_observed_is_called():
    net = network()
    seen = []
    net.layers[1].register_forward_hook(lambda module, args, out: seen.append(out.shape))
    step(net, IMAGES)
    assert len(seen) == 1


def test_units_with_other_layers_run_layer_by_layer():
    net = network()
    net.layers[1][3].depthwise_conv3x3_bn.norm.eval()
    check(net, IMAGES, 15)


def test_second_backward_pass_of_a_graph_gives_the_same():
    net = network(out_indices=(3,))
    loss = net(IMAGES)[0].square().sum()
    first = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(net.parameters()))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


def test_gradients_that_others_hold_are_not_written():
    net = network(out_indices=(1, 3))
    outs = net(IMAGES)
    given = [torch.randn(out.shape, dtype=out.dtype) for out in outs]
    kept = [grad.clone() for grad in given]
    for out in outs:
        out.retain_grad()
    torch.autograd.backward(outs, given)
    for out, grad, before in zip(outs, given, kept, strict=True):
        assert torch.equal(grad, before)
        assert torch.equal(out.grad, before)


def test_shared_stage_of_a_c4_detector():
    torch.manual_seed(0)
    stage = SharedRoIStage(dict(type='ShuffleNetV1', widen_factor=0.25)).double().train()
    x = torch.randn(5, 120, 7, 7, dtype=torch.float64).requires_grad_()
    check(stage, x, 4)
