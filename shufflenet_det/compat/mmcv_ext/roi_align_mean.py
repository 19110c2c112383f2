"""The gradient of RoIAlign by mean as matrix products, for CPU.

Every bin is a weighted sum of pixels, and the weights are a product of one along the columns and
one along the rows: ``bin[i, j] = rows[i] @ image @ columns[j]``. The gradient is therefore two
matrix products for each RoI, where torchvision's CPU kernel scatters single values on one thread.
"""

import torch
from torch import Tensor

from ._sampling import chunks

# Multiply-adds of the products that take as long as one scattered value of torchvision's kernel,
# from timings on two cores; the products grow with the feature map, the scattering does not.
_PRODUCTS_PER_VALUE = 150


def axis_weights(start: Tensor, bin_size: Tensor, bins: int, samples: Tensor,
                 size: int) -> Tensor:
    """Weight of every pixel along one axis in the mean of each bin.

    Args:
        start: where each of K windows starts, in pixels of the feature map, [K].
        bin_size: [K].
        bins: bins in a window.
        samples: samples in a bin of each window, [K], whole numbers.
        size: pixels along the axis.

    Returns:
        [K, bins, size].
    """
    number = torch.arange(max(1, int(samples.max())), device=start.device)
    offset = (number + 0.5) / samples.clamp(min=1)[:, None]
    bin_index = torch.arange(bins, device=start.device, dtype=start.dtype)[None, :, None]
    position = start[:, None, None] + (bin_index + offset[:, None]) * bin_size[:, None, None]
    used = (position >= -1) & (position <= size) & (number < samples[:, None])[:, None]
    share = used / samples.clamp(min=1)[:, None, None].to(start.dtype)
    position = position.clamp(0, size - 1)
    lower = position.floor()
    upper_share = (position - lower) * share
    weights = start.new_zeros(len(start), bins, size)
    lower = lower.long()
    weights.scatter_add_(2, lower, share - upper_share)
    return weights.scatter_add_(2, (lower + 1).clamp(max=size - 1), upper_share)


def products_pay(bins: tuple[int, int], height: int, width: int) -> bool:
    """Whether the matrix products are faster than scattering on a map of this size."""
    rows, columns = bins
    return rows * width * (columns + height) < _PRODUCTS_PER_VALUE * rows * columns * 8


def mean_backward(grad: Tensor, rois: Tensor, shape: tuple[int, int, int, int],
                  spatial_scale: float, sampling_ratio: int, aligned: bool) -> Tensor:
    """Gradient of the feature map.

    Args:
        grad: gradient of the bins, [K, C, rows, columns].
        rois: [K, 5].
        shape: N, C, H, W of the feature map.
        spatial_scale, sampling_ratio, aligned: as in the forward pass.
    """
    images, channels, height, width = shape
    rows, columns = grad.shape[2:]
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    extent = corners[:, 2:] - corners[:, :2]
    if not aligned:
        extent = extent.clamp(min=1)
    bin_size = extent / extent.new_tensor([columns, rows])
    samples = torch.full_like(extent, sampling_ratio) if sampling_ratio > 0 else bin_size.ceil()
    x_weights = axis_weights(corners[:, 0], bin_size[:, 0], columns, samples[:, 0], width)
    y_weights = axis_weights(corners[:, 1], bin_size[:, 1], rows, samples[:, 1], height)
    total = grad.new_zeros(images, height, channels * width)
    for image in range(images):
        of_image = (rois[:, 0] == image).nonzero()[:, 0]
        for some in chunks(of_image, channels * rows * width):
            if not len(some):
                continue
            # [K, rows, C, columns] @ [K, 1, columns, W]: the row stays outermost, so that the
            # second product reads the first as it lies in memory
            spread = grad[some].transpose(1, 2).flatten(1, 2) @ x_weights[some]
            total[image].addmm_(y_weights[some].flatten(0, 1).t(), spread.view(-1, total.shape[2]))
    return total.view(images, height, channels, width).transpose(1, 2)
