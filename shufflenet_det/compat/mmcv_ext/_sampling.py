"""Reading many small windows of a feature map at once."""

import torch
from torch import Tensor

# Values gathered at a time: 64 MiB in float32.
_BUDGET = 1 << 24


def chunks(items: Tensor, values_per_item: int) -> tuple[Tensor, ...]:
    """Split ``items`` into parts that together gather no more values than memory should hold."""
    return items.split(max(1, _BUDGET // max(1, values_per_item)))


def gather_pixels(features: Tensor, images: Tensor, pixels: Tensor) -> Tensor:
    """Read all channels of some pixels.

    Args:
        features: [N, C, H, W].
        images: index of the image each of K windows is read from, [K], any type.
        pixels: row * W + column of each pixel read, [K, ...].

    Returns:
        [K, ..., C].
    """
    planes = features.flatten(2)
    return planes[images.long()[:, None], :, pixels.flatten(1)].unflatten(1, pixels.shape[1:])


def bilinear(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split positions along an axis of ``size`` pixels into two neighbours and their weights.

    Returns:
        The lower neighbour, the upper one, and the weight of each; both weights are zero for
        positions further than one pixel out.
    """
    inside = (position >= -1) & (position <= size)
    lower = position.clamp(min=0).long().clamp(0, size - 1)
    upper = (lower + 1).clamp(max=size - 1)
    upper_weight = torch.where(lower < size - 1, position.clamp(min=0) - lower, 0)
    return (lower, upper, torch.where(inside, 1 - upper_weight, 0),
            torch.where(inside, upper_weight, 0))


def sample_positions(start: Tensor, bin_size: Tensor, bins: int, samples: int) -> Tensor:
    """Positions along one axis, [K, bins, samples], on the feature map."""
    bin_index = torch.arange(bins, device=start.device, dtype=start.dtype)[:, None]
    sample = torch.arange(samples, device=start.device, dtype=start.dtype) + 0.5
    bin_size = bin_size[:, None, None]
    return start[:, None, None] + bin_index * bin_size + sample * bin_size / samples
