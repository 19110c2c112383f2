"""ShuffleNet units in inference on CPU, one after another in one call, on oneDNN's fused kernels.

A small network on one thread waits for Python: between 49 convolutions it took a fifth of the time
of an image. So the loop over the units is TorchScript (:mod:`.script`). Its arguments are read from
the dictionaries of the modules: by attribute, it took a millisecond of the ten of an image.
"""
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..onednn import add_and_relu
from ..shuffle import shuffle_pixels
from .script import compiled

if TYPE_CHECKING:
    from ..shuffle_unit import ShuffleUnit


def run_deployed(units: Sequence['ShuffleUnit'], x: Tensor) -> Tensor:
    """Units in deploy form one after another, where :func:`..deploy.runs_fused`.

    Args:
        units: for which :meth:`.ShuffleUnit.function` says so.
        x: (N, C, H, W).

    Returns:
        What calling the units would return, to the last bit.
    """
    weights, biases, first_groups, groups, shuffles, strides = [], [], [], [], [], []
    batch, _, height, width = x.shape
    for unit in units:
        compress, depthwise, expand = unit.conv_layers
        stride = unit.stride
        weights.append(compress.packed((batch, compress.in_channels, height, width)))
        weights.append(depthwise.packed((batch, depthwise.in_channels, height, width)))
        if stride == 2:
            height, width = (height + 1) // 2, (width + 1) // 2
        weights.append(expand.packed((batch, expand.in_channels, height, width)))
        biases += [layer._parameters.get('bias') for layer in (compress, depthwise, expand)]
        first_groups.append(compress.groups)
        groups.append(expand.groups)
        shuffles.append(unit.shuffle_groups)
        strides.append(stride)
    return compiled(_run)(x, weights, biases, first_groups, groups, shuffles, strides)


def run_evaluated(units: Sequence['ShuffleUnit'], x: Tensor) -> Tensor:
    """Units in evaluation mode one after another, where :func:`..deploy.runs_fused`.

    Batch norms are folded into the convolutions anew each time, which takes less than to run them:
    nobody tells when a parameter has changed.

    Args:
        units: for which :meth:`.ShuffleUnit.function` says so.
        x: (N, C, H, W).

    Returns:
        What calling the units would return, up to rounding.
    """
    layers = [layer for unit in units for layer in unit.conv_layers]
    convs = [layer._modules['conv'] for layer in layers]
    norms = [layer._modules[layer.norm_name] for layer in layers]
    return compiled(_fold_and_run)(
        x,
        [conv._parameters['weight'] for conv in convs],
        [norm._parameters['weight'] for norm in norms],
        [norm._parameters['bias'] for norm in norms],
        [norm._buffers['running_mean'] for norm in norms],
        [norm._buffers['running_var'] for norm in norms],
        [norm.eps for norm in norms],
        [conv.groups for conv in convs[::3]],
        [conv.groups for conv in convs[2::3]],
        [unit.shuffle_groups for unit in units],
        [unit.stride for unit in units],
    )


def _run(
    x: Tensor,
    weights: list[Tensor],
    biases: list[Tensor | None],
    first_groups: list[int],
    groups: list[int],
    shuffles: list[int],
    strides: list[int],
) -> Tensor:
    one = [1, 1]
    # how TorchScript writes the type of these arguments, `Scalar?[]`
    scalars: list[int | float | complex | None] = []
    for i in range(len(strides)):
        stride = [strides[i], strides[i]]
        y = add_and_relu(x, weights[3 * i], biases[3 * i], first_groups[i], None, True)
        y = torch.ops.mkldnn._convolution_pointwise(
            y, weights[3 * i + 1], biases[3 * i + 1], one, stride, one, y.size(1), 'none', scalars,
            '',
        )  # fmt: skip
        if shuffles[i] > 1:
            y = shuffle_pixels(y, shuffles[i])
        weight, bias = weights[3 * i + 2], biases[3 * i + 2]
        if strides[i] == 1:
            x = add_and_relu(y, weight, bias, groups[i], x, True)
        else:
            y = add_and_relu(y, weight, bias, groups[i], None, True)
            x = torch.cat([torch.nn.functional.avg_pool2d(x, 3, 2, 1), y], 1)
    return x


def _fold_and_run(
    x: Tensor,
    weights: list[Tensor],
    gammas: list[Tensor],
    betas: list[Tensor],
    means: list[Tensor],
    variances: list[Tensor],
    eps: list[float],
    first_groups: list[int],
    groups: list[int],
    shuffles: list[int],
    strides: list[int],
) -> Tensor:
    folded: list[Tensor] = []
    biases: list[Tensor | None] = []
    for i in range(len(weights)):
        scale = gammas[i] * torch.rsqrt(variances[i] + eps[i])
        folded.append(weights[i] * scale.view(-1, 1, 1, 1))
        biases.append(torch.addcmul(betas[i], means[i], scale, value=-1))
    return _run(x, folded, biases, first_groups, groups, shuffles, strides)
