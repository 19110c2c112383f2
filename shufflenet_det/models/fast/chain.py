"""Training steps on CPU of ShuffleNet units that follow one another, as one function.

Inside of it gradients belong to nobody else, so that they are overwritten instead of copied, and
what a unit returns is kept once, though it is the next one's input as well.
"""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..onednn import fuses
from . import folded, frozen, normed
from .compress import folds
from .operators import POOL, avg_pool_backward, mask, mask_into
from .pixels import channels_last
from .script import compiled
from .step import Gradient, Settings, Step, Way

if TYPE_CHECKING:
    from ..shuffle_unit import ShuffleUnit

_PARAMETERS = 9
# below as many values in the widest map it stays in the cache, and the few dozen small operations
# on covariances take longer than they save; with narrower groups the products are slow
_FEWEST_TO_FOLD = 1_400_000
_NARROWEST_GROUP = 10


def train_units(units: Sequence['ShuffleUnit'], x: Tensor) -> Tensor:
    """The result of units that all :func:`.conditions.trains_as_function`, one after another."""
    layers = [layer for unit in units for layer in unit.conv_layers]
    seen = [layer.norm.num_batches_tracked for layer in layers if layer.norm.training]
    if seen:
        torch._foreach_add_(seen, 1)
    parameters = [
        p for layer in layers for p in (layer.conv.weight, layer.norm.weight, layer.norm.bias)
    ]
    return _Units.apply(x, units, *parameters)


class _Units(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, units: Sequence['ShuffleUnit'], *parameters: Tensor) -> Tensor:
        ctx.units, ctx.ways, ctx.sizes = units, [], []
        x = channels_last(x)
        kept = [x]
        for unit, own in zip(units, _each(parameters), strict=True):
            way = _way(unit, x)
            settings = _settings(unit, x)
            out, *saved = compiled(way.forward)(Step(x, own, settings))
            if unit.stride == 2:
                out = torch.cat((unit.avgpool(x), out), dim=1)
            ctx.ways.append((compiled(way.backward), settings))
            ctx.sizes.append(len(saved) + 1)
            kept += *saved, out
            x = out
        ctx.save_for_backward(*parameters, *kept)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved_tensors = ctx.saved_tensors
        first = len(saved_tensors) - 1 - sum(ctx.sizes)
        parameters, kept = _each(saved_tensors[:first]), list(saved_tensors[first:])
        del saved_tensors
        grads: list[list[Tensor]] = []
        last = len(ctx.units) - 1
        for i in range(last, -1, -1):
            unit, own = ctx.units[i], parameters[i]
            *saved, out = kept[len(kept) - ctx.sizes[i] :]
            del kept[len(kept) - ctx.sizes[i] :]
            x = kept[-1]
            needs_x = i > 0 or ctx.needs_input_grad[0]
            if unit.stride == 2:
                pooled, grad = grad.tensor_split((x.shape[1],), dim=1)
                residual = _unpooled(pooled, x) if needs_x else None
                grad = channels_last(mask(grad, out[:, x.shape[1] :], 0))
            elif i == last:
                residual = grad = mask(channels_last(grad), out, 0)
            else:
                residual = mask_into(grad, out, 0, grad_input=grad)
            gradient = Gradient(grad, residual, needs_x)
            backward, settings = ctx.ways[i]
            grad, of_unit = backward(Step(x, own, settings), saved, gradient)
            grads.append(of_unit)
        return grad, None, *(g for of_unit in reversed(grads) for g in of_unit)


def _settings(unit: 'ShuffleUnit', x: Tensor) -> Settings:
    norms = [layer._modules[layer.norm_name] for layer in unit.conv_layers]
    statistics = [
        norm._buffers[name] for norm in norms for name in ('running_mean', 'running_var')
    ]
    return Settings(
        statistics,
        [norm.momentum for norm in norms],
        [norm.eps for norm in norms],
        unit.stride,
        unit.shuffle_groups,
        folds=folds(unit.g_conv_1x1_compress.conv.weight, x),
        fused=fuses(x),
    )


def _each(parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    """The parameters of each unit."""
    return [list(parameters[i : i + _PARAMETERS]) for i in range(0, len(parameters), _PARAMETERS)]


def _unpooled(grad: Tensor, x: Tensor) -> Tensor:
    return avg_pool_backward(channels_last(grad), x, *POOL, False, True, None)


def _way(unit: 'ShuffleUnit', x: Tensor) -> Way:
    """The faster one, by measurements on two cores (docs/performance.md)."""
    if not unit.g_conv_1x1_expand.norm.training:
        return frozen.WAY
    expand = unit.g_conv_1x1_expand.conv
    pixels = x.shape[0] * -(-x.shape[2] // unit.stride) * -(-x.shape[3] // unit.stride)
    wide_enough = expand.in_channels >= _NARROWEST_GROUP * expand.groups
    many = wide_enough and pixels * expand.out_channels >= _FEWEST_TO_FOLD
    return folded.WAY if many else normed.WAY
