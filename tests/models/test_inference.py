"""Units in inference run in one call: the results of their layers, whatever was changed before."""
from copy import deepcopy

from shufflenet_det.models import ShuffleNetV1, onednn, switch_to_deploy
from shufflenet_det.models.shuffle import channel_shuffle, shuffle_pixels
from shufflenet_det.models.shuffle_unit import ShuffleUnit

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import prune

from .networks import assert_same, used

needs_onednn = pytest.mark.skipif(
    not onednn.is_available(), reason='this PyTorch has no fused convolutions'
)


def network(**settings: object) -> ShuffleNetV1:
    return used(dict(type='ShuffleNetV1', **settings))


def by_layers(model: ShuffleNetV1, x: torch.Tensor) -> list[torch.Tensor]:
    plain = deepcopy(model)
    for module in plain.modules():
        if isinstance(module, ShuffleUnit):
            module.fast = False
    return plain(x)


def assert_all_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


def operators(model: nn.Module, x: torch.Tensor) -> set[str]:
    """The names of all operators that run."""
    with torch.profiler.profile() as profile:
        model(x)
    return {event.name for event in profile.events()}


def assert_fused(model: nn.Module, x: torch.Tensor) -> None:
    """That the units are fused convolutions, without activations and norms of their own."""
    run = operators(model, x)
    assert 'mkldnn::_convolution_pointwise' in run
    assert not {name for name in run if 'batch_norm' in name or name.startswith('aten::relu')}


@needs_onednn
@pytest.mark.parametrize('shuffle', ['standard', 'transposed', 'none'])
@pytest.mark.parametrize('groups', [1, 2, 3, 4, 8])
@torch.no_grad()
def test_evaluation_equals_the_layers(groups, shuffle):
    model = network(groups=groups, widen_factor=0.5, shuffle=shuffle)
    for shape in ((1, 3, 64, 64), (3, 3, 75, 97)):
        x = torch.rand(shape)
        assert_all_same(model(x), by_layers(model, x))
    for stage in model.layers:
        channels = stage[0].g_conv_1x1_compress.in_channels
        assert_fused(stage, torch.rand(1, channels, 16, 16))


@needs_onednn
@pytest.mark.parametrize('size', [16, 128])
def test_deploy_form_is_as_fast_where_gradients_were_not_switched_off(size):
    # large enough for a training step as functions, and not
    deployed = switch_to_deploy(network(widen_factor=0.25))
    assert_fused(deployed, torch.rand(1, 3, size, size))


@torch.no_grad()
def test_parameters_are_read_anew_each_time():
    model = network(widen_factor=0.25)
    x = torch.rand(1, 3, 64, 64)
    before = model(x)[-1]
    # a way that leaves no trace in the parameter
    model.layers[2][1].g_conv_1x1_compress.norm.running_var.data.mul_(2)
    assert not torch.allclose(model(x)[-1], before)
    assert_all_same(model(x), by_layers(model, x))


@pytest.mark.parametrize('form', ['evaluation', 'deploy'])
@torch.no_grad()
def test_observers_see_what_goes_through_layers(form):
    model = network(widen_factor=0.25)
    if form == 'deploy':
        switch_to_deploy(model)
    x = torch.rand(1, 3, 64, 64)
    expected = model(x)
    seen = []
    unit = model.layers[1][1]
    unit.g_conv_1x1_expand.register_forward_hook(lambda *args: seen.append(args[0]))
    unit.register_forward_hook(lambda *args: seen.append(args[0]))
    assert_all_same(model(x), expected)
    assert seen == [unit.g_conv_1x1_expand, unit]

    everything = []
    handle = register_module_forward_hook(lambda module, *_: everything.append(module))
    try:
        assert_all_same(model(x), expected)
    finally:
        handle.remove()
    units = [module for module in model.modules() if isinstance(module, ShuffleUnit)]
    for module in units:
        assert {module, *module.conv_layers} <= set(everything)


@torch.no_grad()
def test_pruned_and_replaced_parts_are_run_as_they_are():
    model = network(widen_factor=0.25)
    x = torch.rand(1, 3, 64, 64)
    before = model(x)[-1]
    prune.l1_unstructured(model.layers[2][1].g_conv_1x1_expand.conv, 'weight', amount=0.5)
    pruned = model(x)[-1]
    assert not torch.allclose(pruned, before)
    assert_all_same(model(x), by_layers(model, x))
    model.layers[1][2].act = nn.Tanh()
    assert not torch.allclose(model(x)[-1], pruned)
    assert_all_same(model(x), by_layers(model, x))


def test_evaluation_with_gradients():
    model = network(widen_factor=0.25)
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    model(x)[-1].sum().backward()
    assert x.grad.any()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('groups', [2, 3, 4, 5, 8, 12, 40])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_shuffle_kernels_agree(groups, dtype):
    x = torch.randn(2, 120, 5, 7, dtype=dtype)
    expected = x.view(2, groups, 120 // groups, 5, 7).transpose(1, 2).reshape(x.shape)
    last = x.contiguous(memory_format=torch.channels_last)
    for out in (
        channel_shuffle(last, groups),
        shuffle_pixels(last, groups),
        shuffle_pixels(last, groups, native=False),
        channel_shuffle(x, groups),
    ):
        assert torch.equal(out, expected)
    assert channel_shuffle(last, groups).is_contiguous(memory_format=torch.channels_last)
    last.requires_grad_()
    channel_shuffle(last, groups).square().sum().backward()
    torch.testing.assert_close(last.grad, 2 * last)
