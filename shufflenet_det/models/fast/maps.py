"""Maps as matrices with a pixel a row, and operators of a training step."""
import torch
from torch import Tensor

from ..shuffle import shuffle_pixels

# overloads: from Python, to choose one at each call takes as long as a small operator
conv_backward = torch.ops.aten.convolution_backward.default
mask = torch.ops.aten.threshold_backward.default
mask_into = torch.ops.aten.threshold_backward.grad_input

POOL = (3, 3), (2, 2), (1, 1)
"""Kernel, stride and padding of the pooling of the network, both in the stem and in units."""


def channels_last(x: Tensor) -> Tensor:
    """The map (N, C, H, W) with its channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The channel shuffle, with channels last in memory; of one group nothing."""
    return x if groups == 1 else shuffle_pixels(channels_last(x), groups)


def rows(x: Tensor) -> Tensor:
    """A map (N, C, H, W) with channels last as a matrix (N * H * W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def grams(a: Tensor, b: Tensor, groups: int) -> Tensor:
    """``a' b`` of each group of columns: the gradient of the weight of a narrow convolution, for
    which oneDNN takes two to four times as long.

    Args:
        a, b: (M, groups * n) and (M, groups * k).

    Returns:
        (groups, n, k).
    """
    a, b = a.view(len(a), groups, -1), b.view(len(b), groups, -1)
    out = a.new_empty(groups, a.shape[2], b.shape[2])
    # of so many, one batched product is faster than a product for each
    if groups >= 5:
        return torch.bmm(a.permute(1, 2, 0), b.transpose(0, 1), out=out)
    for i in range(groups):
        torch.mm(a[:, i].t(), b[:, i], out=out[i])
    return out


def transposed(weight: Tensor) -> Tensor:
    """Weights (groups, n, k) of a 1x1 group convolution for the one from its outputs to inputs."""
    groups, n, k = weight.shape
    return weight.transpose(1, 2).reshape(groups * k, n, 1, 1)


def reordered(values: Tensor, groups: int) -> Tensor:
    """A value a channel, in the order that the channel shuffle of ``groups`` gives the channels."""
    return values.reshape(groups, -1).t().flatten()
