"""Convolutions of oneDNN with what follows them fused, which torch has for CPU but not as layers.

They run where torch was built with oneDNN, in float32 (:func:`fuses`).
"""
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


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


def convolve_fused(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    relu: bool = False,
    add: Tensor | None = None,
) -> Tensor:
    """Convolve, then add ``add``, then take the positive part, where :func:`fuses`. No gradients.

    Args:
        x: (N, C, H, W).
        weight: (C', C / groups, h, w), as it is or from :func:`pack`.
        bias: (C').
        stride, padding, dilation, groups: of the convolution.
        relu: whether to take the positive part.
        add: shaped like the result.
    """
    run, run_and_add = _kernels()
    if add is None:
        return run(
            x, weight, bias, padding, stride, dilation, groups, 'relu' if relu else 'none', [], ''
        )
    return run_and_add(
        x, add, weight, bias, padding, stride, dilation, groups, 'add', 1.0,
        'relu' if relu else None, [], '',
    )  # fmt: skip


@cache
def _kernels() -> tuple:
    # the overloads: to choose one at each call takes as long as a small convolution's set-up
    name = torch.ops.mkldnn._convolution_pointwise
    return name.default, name.binary


def accumulate(
    total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, fused: bool
) -> Tensor:
    """Add a 1x1 convolution of ``x`` to ``total``, whose memory is used. TorchScript compiles it.

    Args:
        total, x: (N, C', H, W) and (N, C, H, W).
        weight, bias: of the convolution.
        groups: of the convolution.
        fused: what :func:`fuses` says.
    """
    if not fused:
        return total.add_(F.conv2d(x, weight, bias, groups=groups))
    scalars: list[int | float | complex | None] = []
    return torch.ops.mkldnn._convolution_pointwise_(
        total, x, weight, bias, [0, 0], [1, 1], [1, 1], groups, 'add', 1.0, None, scalars, ''
    )


def add_and_relu(
    x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, added: Tensor | None, fused: bool
) -> Tensor:
    """A 1x1 convolution, then ``added`` if there is any, then ReLU. TorchScript compiles it.

    Args:
        x: (N, C, H, W).
        weight, bias: of the convolution.
        groups: of the convolution.
        added: (N, C', H, W).
        fused: what :func:`fuses` says.
    """
    if not fused:
        out = F.conv2d(x, weight, bias, groups=groups)
        if added is not None:
            out.add_(added)
        return out.relu_()
    scalars: list[int | float | complex | None] = []
    if added is None:
        return torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, [0, 0], [1, 1], [1, 1], groups, 'relu', scalars, ''
        )
    return torch.ops.mkldnn._convolution_pointwise(
        x, added, weight, bias, [0, 0], [1, 1], [1, 1], groups, 'add', 1.0, 'relu', scalars, ''
    )


def pack(
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    shape: Sequence[int],
) -> Tensor:
    """The weight in the order in which the kernel reads it, for :func:`convolve_fused` only.

    The order depends on the size of the map. With the order for another one the result is the
    same, but the kernel puts the weight in order anew each time, which takes up to ten times as
    long as the convolution: see :func:`size_class`.

    Args:
        weight, stride, padding, dilation, groups: of the convolution.
        shape: of its input.
    """
    return torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, stride, dilation, groups, list(shape)
    )


def size_class(shape: Sequence[int]) -> int:
    """Equal for maps (N, C, H, W) for which weights have the same order.

    By measurements, 64 and 100 pixels are limits between orders, or numbers near these, depending
    on the channels; above, none was found.
    """
    pixels = shape[2] * shape[3]
    return pixels if pixels < 128 else 127 + pixels.bit_length()
