"""Operators of PyTorch for the backward pass, which have no functions of their own."""
import torch
from torch import Tensor, nn

# overloads: to choose one at each call takes as long as a small operator
conv_backward = torch.ops.aten.convolution_backward.default
norm_backward = torch.ops.aten.native_batch_norm_backward.default
mask = torch.ops.aten.threshold_backward.default
mask_into = torch.ops.aten.threshold_backward.grad_input
avg_pool_backward = torch.ops.aten.avg_pool2d_backward.default
max_pool = torch.ops.aten.max_pool2d_with_indices.default
max_pool_backward = torch.ops.aten.max_pool2d_with_indices_backward.default
moments = torch.ops.aten.batch_norm_update_stats.default

ALL = (True, True, True)
POOL = (3, 3), (2, 2), (1, 1)
"""Kernel, stride and padding of the pooling of the network, both in the stem and in units."""


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, ...]:
    """Batch norm of this batch, whose statistics are learned: its result, the mean of each channel
    and the inverse of the standard deviation."""
    return torch.native_batch_norm(
        x, gamma, beta, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
    )
