"""Maps as matrices with a pixel a row, for the training steps that run as one function."""
import torch
from torch import Tensor

from ..shuffle import shuffle_pixels


def channels_last(x: Tensor) -> Tensor:
    """The map (N, C, H, W) with its channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The channel shuffle, with channels last in memory; of one group nothing."""
    return x if groups == 1 else shuffle_pixels(channels_last(x), groups)


def rows(x: Tensor) -> Tensor:
    """A map (N, C, H, W) with channels last as a matrix (N * H * W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.size(1))


def grams(a: Tensor, b: Tensor, groups: int, factor: float = 1.0) -> Tensor:
    """``factor * a' b`` of each group of columns.

    Args:
        a, b: (M, groups * n) and (M, groups * k).

    Returns:
        (groups, n, k).
    """
    a, b = a.view(a.size(0), groups, -1), b.view(b.size(0), groups, -1)
    out = torch.empty([groups, a.size(2), b.size(2)], dtype=a.dtype, device=a.device)
    # of so many, one batched product is faster than a product for each
    if groups >= 5:
        return torch.baddbmm(
            out, a.permute(1, 2, 0), b.transpose(0, 1), beta=0, alpha=factor, out=out
        )
    for i in range(groups):
        torch.addmm(out[i], a[:, i].t(), b[:, i], beta=0, alpha=factor, out=out[i])
    return out


def transposed(weight: Tensor) -> Tensor:
    """Weights (groups, n, k) of a 1x1 group convolution for the one from its outputs to inputs."""
    groups, n, k = weight.size(0), weight.size(1), weight.size(2)
    return weight.transpose(1, 2).reshape(groups * k, n, 1, 1)


def reordered(values: Tensor, groups: int) -> Tensor:
    """A value a channel, in the order that the channel shuffle of ``groups`` gives the channels."""
    return values.reshape(groups, -1).t().flatten()


def per_filter(values: Tensor) -> Tensor:
    """A value a filter, shaped to be multiplied with weights (C', C, h, w)."""
    return values.view(-1, 1, 1, 1)


def per_channel(values: Tensor) -> Tensor:
    """A value a channel, shaped to be multiplied with maps (N, C, H, W)."""
    return values.view(1, -1, 1, 1)
