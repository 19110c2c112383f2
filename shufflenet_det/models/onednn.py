"""Convolutions of oneDNN with what follows them fused, which torch has for CPU but not as layers.

They run where torch was built with oneDNN, in float32 (:func:`fuses`), and have no gradients.
"""
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, int]


@cache
def is_available() -> bool:
    """Whether torch has the fused convolutions."""
    names = ('_convolution_pointwise', '_convolution_pointwise_', '_reorder_convolution_weight')
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in names
    )


def fuses(x: Tensor) -> bool:
    """Whether a convolution of ``x`` runs fused."""
    return x.device.type == 'cpu' and x.dtype == torch.float32 and is_available()


def convolve(x: Tensor, prepared: tuple, relu: bool = False, add: Tensor | None = None) -> Tensor:
    """Convolve, then add ``add``, then take the positive part, one by one and with gradients.

    Args:
        x: (N, C, H, W).
        prepared: what :func:`prepare` returned, without a shape.
        relu: whether to take the positive part.
        add: shaped like the result.
    """
    weight, bias, padding, stride, dilation, groups = prepared
    x = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    x = x if add is None else x + add
    return F.relu(x) if relu else x


def convolve_fused(
    x: Tensor, prepared: tuple, relu: bool = False, add: Tensor | None = None
) -> Tensor:
    """As :func:`convolve`, where :func:`fuses`; the weight may be in the kernel's order."""
    run, run_and_add = _kernels()
    if add is None:
        return run(x, *prepared, 'relu' if relu else 'none', (), '')
    return run_and_add(x, add, *prepared, 'add', 1.0, 'relu' if relu else None, (), '')


@cache
def _kernels() -> tuple:
    # the overloads: to choose one at each call takes as long as a small convolution's set-up
    name = torch.ops.mkldnn._convolution_pointwise
    return name.default, name.binary


def pointwise(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    groups: int,
    relu: bool = False,
    add: Tensor | None = None,
) -> Tensor:
    """A 1x1 convolution, then ``add`` if there is any, then ReLU if asked for.

    By oneDNN where :func:`fuses`, also on one thread and for fewer than 16 images, for which
    torch's own 1x1 convolution takes another way that is two to three times as slow.
    """
    run = convolve_fused if fuses(x) else convolve
    return run(x, prepare(weight, bias, (1, 1), (0, 0), (1, 1), groups), relu, add)


def accumulate(total: Tensor, x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Add a 1x1 convolution of ``x`` (N, C, H, W) to ``total`` (N, C', H, W), which is changed."""
    if not fuses(x):
        return total.add_(F.conv2d(x, weight, groups=groups))
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        total, x, weight, None, (0, 0), (1, 1), (1, 1), groups, 'add', 1.0, None, [], ''
    )


def prepare(
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    shape: Sequence[int] | None = None,
) -> tuple:
    """A convolution, for :func:`convolve` and :func:`convolve_fused`.

    Args:
        weight, bias, stride, padding, dilation, groups: of the convolution.
        shape: (N, C, H, W); puts the weight in the order in which the kernel reads it for maps of
            this size. With the order for another one the result is the same, but the kernel puts
            the weight in order anew each time, which takes up to ten times as long as the
            convolution. By measurements, 64 and 100 pixels are limits between orders, or numbers
            near these, depending on the channels; above, none was found.
    """
    if shape is not None:
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, padding, stride, dilation, groups, list(shape)
        )
    return weight, bias, padding, stride, dilation, groups
