"""Operators of a training step, forward and backward."""
import torch
from torch import Tensor

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
    settings = step.settings
    return torch.native_batch_norm(
        x, step.parameters[3 * which + 1], step.parameters[3 * which + 2],
        settings.statistics[2 * which], settings.statistics[2 * which + 1], True,
        settings.momentum[which], settings.eps[which],
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
        grad, x, step.parameters[3 * which + 1], None, None, mean, scale, True,
        step.settings.eps[which], [True, True, True],
    )  # fmt: skip
