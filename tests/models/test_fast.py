"""Training of units on CPU as one function: the results and gradients of layer after layer."""
import copy

from shufflenet_det.models import ShuffleUnit, onednn
from shufflenet_det.models.fast import conditions

import pytest
import torch
from torch import nn

from .networks import functions_in, nodes_of


def fits(unit: ShuffleUnit, x: torch.Tensor) -> bool:
    """Whether a step of a copy is one node in the graph of autograd."""
    return functions_in(copy.deepcopy(unit)(x)) == 1


UNITS = {
    'stride 1': dict(in_channels=48, out_channels=48),
    'stride 2': dict(in_channels=48, out_channels=96, stride=2),
    'first': dict(in_channels=24, out_channels=96, stride=2, first_groups=1),
    'one group': dict(in_channels=32, out_channels=32, groups=1),
    'many groups': dict(in_channels=64, out_channels=64, groups=8),
    'transposed': dict(in_channels=48, out_channels=48, shuffle='transposed'),
    'no shuffle': dict(in_channels=48, out_channels=48, shuffle='none'),
    'recomputed': dict(in_channels=48, out_channels=48, with_cp=True),
}


@pytest.fixture(params=['learned', 'frozen'], autouse=True)
def way(request, monkeypatch):
    """Batch norms that learn and those that keep their statistics, in units of any size."""
    monkeypatch.setattr(conditions, 'FEWEST_TO_JOIN', 0)
    return request.param


def unit_of(way: str = 'learned', **settings) -> ShuffleUnit:
    torch.manual_seed(0)
    unit = ShuffleUnit(**settings)
    for module in unit.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.uniform_(tensor, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            module.momentum = 0.3
            module.train(way != 'frozen')
    return unit


def image(unit: ShuffleUnit, dtype: torch.dtype, channels_last: bool = True) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, unit.g_conv_1x1_compress.in_channels, 9, 7, generator=generator).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    return x.requires_grad_()


def step(unit: ShuffleUnit, x: torch.Tensor, fast: bool) -> dict[str, torch.Tensor]:
    """Result, gradients and statistics of a step of a copy."""
    unit, x = copy.deepcopy(unit).to(x.dtype), x.detach().clone().requires_grad_()
    unit.fast = fast
    out = unit(x)
    learns = unit.g_conv_1x1_compress.norm.training
    if not unit.with_cp:
        assert functions_in(out) == (fast and learns)
        assert ('NativeBatchNormBackward0' in nodes_of(out)) is not fast
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    (out * weight.to(out.dtype)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in unit.named_parameters()}
    return dict(out=out.detach(), x=x.grad, **gradients, **dict(unit.named_buffers()))


@pytest.mark.parametrize('settings', UNITS.values(), ids=UNITS)
@pytest.mark.parametrize('channels_last', [True, False])
def test_same_results_gradients_and_statistics(settings, channels_last, way):
    unit = unit_of(way, **settings)
    x = image(unit, torch.float64, channels_last)
    layers, fast = step(unit, x, False), step(unit, x, True)
    assert layers.keys() == fast.keys()
    for name in layers:
        torch.testing.assert_close(fast[name], layers[name], rtol=1e-9, atol=1e-10, msg=name)


@pytest.mark.parametrize('settings', UNITS.values(), ids=UNITS)
def test_single_precision_is_as_exact_as_the_layers(settings, way):
    unit = unit_of(way, **settings)
    exact = step(unit, image(unit, torch.float64), False)
    layers = step(unit, image(unit, torch.float32), False)
    fast = step(unit, image(unit, torch.float32), True)
    for name, expected in exact.items():
        # what norms take away again, as the second one's bias, is lost in rounding layer by layer
        allowed = 1e-5 * (expected.abs().max() + 1) + 3 * (layers[name] - expected).abs().max()
        assert (fast[name] - expected).abs().max() <= allowed, name


def test_gradient_of_random_directions(way):
    unit = unit_of(way, **UNITS['stride 1']).double()
    x = image(unit, torch.float64)
    # statistics are written in each call, and are not read
    assert torch.autograd.gradcheck(unit, x, fast_mode=True, nondet_tol=1e-9)


def test_frozen_parts_stay_without_gradient(way):
    unit = unit_of(way, **UNITS['stride 1'])
    unit.g_conv_1x1_compress.conv.weight.requires_grad_(False)
    x = image(unit, torch.float32).detach()
    unit(x).sum().backward()
    assert unit.g_conv_1x1_compress.conv.weight.grad is None
    assert unit.g_conv_1x1_expand.conv.weight.grad.any()


def far_from_zero(unit: ShuffleUnit, ratio: float, dtype: torch.dtype, fast: bool) -> dict:
    """A step on maps whose mean is ``ratio`` times their standard deviation."""
    x = image(unit, torch.float64).detach() + ratio
    return step(unit, x.to(torch.float32).to(dtype), fast)


@pytest.mark.parametrize('way', ['learned'], indirect=True)
@pytest.mark.parametrize('ratio', [10, 100])
@pytest.mark.parametrize('name', ['stride 1', 'stride 2', 'first', 'one group', 'many groups'])
def test_maps_far_from_zero_lose_no_more_than_in_the_layers(name, ratio, way):
    unit = unit_of(way, **UNITS[name])
    exact = far_from_zero(unit, ratio, torch.float64, False)
    layers = far_from_zero(unit, ratio, torch.float32, False)
    fast = far_from_zero(unit, ratio, torch.float32, True)
    for key, expected in exact.items():
        error, of_layers = (
            (found[key] - expected).double().norm() for found in (fast, layers)
        )
        # what is exact in both up to the last bits
        assert error <= 2 * of_layers + 2e-7 * (1 + expected.double().norm()), key


def observed(unit: ShuffleUnit) -> None:
    unit.g_conv_1x1_expand.register_forward_hook(lambda *_: None)


def other_statistics(unit: ShuffleUnit) -> None:
    norm = unit.depthwise_conv3x3_bn.norm
    norm.train(not norm.training)


def cumulative(unit: ShuffleUnit) -> None:
    unit.g_conv_1x1_compress.norm.momentum = None


@pytest.mark.parametrize('change', [
    observed, other_statistics, cumulative, lambda unit: unit.eval(),
    lambda unit: setattr(unit, 'act', nn.SiLU()), lambda unit: setattr(unit, 'fast', False),
])  # fmt: skip
def test_everything_else_runs_layer_by_layer(change):
    unit = unit_of(**UNITS['stride 1'])
    x = image(unit, torch.float32)
    assert fits(unit, x)
    change(unit)
    assert not fits(unit, x)


@pytest.mark.parametrize('settings', [
    dict(with_se=True), dict(norm_cfg=dict(type='GN', num_groups=4)),
    dict(act_cfg=dict(type='SiLU')),
])  # fmt: skip
def test_other_layers_run_one_by_one(settings, way):
    unit = unit_of(way, in_channels=48, out_channels=48, **settings)
    assert not fits(unit, image(unit, torch.float32))


def test_not_without_gradients_or_in_mixed_precision(way):
    unit = unit_of(way, **UNITS['stride 1'])
    x = image(unit, torch.float32)
    with torch.no_grad():
        assert unit(x).grad_fn is None
    with torch.autocast('cpu', torch.bfloat16):
        assert not fits(unit, x)


def test_small_maps_run_layer_by_layer(monkeypatch):
    monkeypatch.undo()
    unit = unit_of(**UNITS['stride 1'])
    assert not fits(unit, torch.zeros(1, 48, 9, 7))
    assert fits(unit, torch.zeros(1, 48, 128, 128)) is onednn.is_available()


def test_without_onednn_the_layers_run(monkeypatch, way):
    monkeypatch.setattr(onednn, 'is_available', lambda: False)
    unit = unit_of(way, **UNITS['stride 1'])
    x = image(unit, torch.float32)
    assert not fits(unit, x)
    assert unit(x).isfinite().all()
