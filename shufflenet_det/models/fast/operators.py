"""Operators of a training step, forward and backward."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .step import Step

# overloads: from Python, to choose one at each call takes as long as a small operator
conv_backward = torch.ops.aten.convolution_backward.default
mask = torch.ops.aten.threshold_backward.default
mask_into = torch.ops.aten.threshold_backward.grad_input
avg_pool_backward = torch.ops.aten.avg_pool2d_backward.default
max_pool = torch.ops.aten.max_pool2d_with_indices.default
max_pool_backward = torch.ops.aten.max_pool2d_with_indices_backward.default
moments = torch.ops.aten.batch_norm_update_stats.default

POOL = (3, 3), (2, 2), (1, 1)
"""Kernel, stride and padding of the pooling of the network, both in the stem and in units."""


def batch_norm(step: Step, which: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A unit's batch norm of this batch, whose statistics are learned.

    Returns:
        Its result, the mean of each channel and the inverse of the standard deviation.
    """
    return torch.native_batch_norm(
        x, step.parameters[3 * which + 1], step.parameters[3 * which + 2],
        step.statistics[2 * which], step.statistics[2 * which + 1], True, step.momentum[which],
        step.eps[which],
    )  # fmt: skip


def batch_norm_backward(
    step: Step, which: int, grad: Tensor, saved: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a unit's batch norm's input, weight and bias.

    Args:
        step: as in the forward pass.
        which: of its batch norms.
        grad: of the result.
        saved: the input, and what :func:`batch_norm` returned behind the result.
    """
    x, mean, scale = saved
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, step.parameters[3 * which + 1], None, None, mean, scale, True, step.eps[which],
        [True, True, True],
    )  # fmt: skip


def accumulate(
    total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, fused: bool
) -> Tensor:
    """Add a 1x1 convolution of ``x`` to ``total``, whose memory is used. Without gradients.

    Args:
        total, x: (N, C', H, W) and (N, C, H, W).
        weight, bias: of the convolution.
        groups: of the convolution.
        fused: whether oneDNN's convolutions run here: :func:`..onednn.fuses`.
    """
    if not fused:
        return total.add_(F.conv2d(x, weight, bias, groups=groups))
    scalars: list[int | float | complex | None] = []
    return torch.ops.mkldnn._convolution_pointwise_(
        total, x, weight, bias, [0, 0], [1, 1], [1, 1], groups, 'add', 1.0, None, scalars, ''
    )


def add_and_relu(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, added: Tensor | None, fused: bool
) -> Tensor:
    """A 1x1 convolution of ``x``, then ``added`` if there is any, then the positive part.

    Args:
        x: (N, C, H, W).
        weight, bias: of the convolution.
        groups: of the convolution.
        added: (N, C', H, W).
        fused: as of :func:`accumulate`.
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
