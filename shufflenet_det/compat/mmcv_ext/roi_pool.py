"""RoI max pooling with mmcv's rounding (``csrc/common/cuda/roi_pool_cuda_kernel.cuh``).

``torchvision.ops.roi_pool`` rounds the box to whole pixels first; mmcv keeps its fractions and
rounds each bin outwards, so neighbouring bins overlap.
"""

import torch
from torch import Tensor

from ._precision import as_float32, widen
from ._sampling import chunks, gather_pixels

_FLOOR = torch.finfo(torch.float32).min


def _bin_edges(start: Tensor, end: Tensor, bins: int, size: int) -> tuple[Tensor, Tensor]:
    """First pixel of each bin along one axis and the one after its last, both [K, bins]."""
    index = torch.arange(bins, device=start.device, dtype=start.dtype)
    bin_size = ((end - start) / bins)[:, None]
    first = (index * bin_size + start[:, None]).floor()
    last = ((index + 1) * bin_size + start[:, None]).ceil()
    return first.clamp(0, size).long(), last.clamp(0, size).long()


def _window(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of each bin along one axis, padded to the longest, and which of them are real.

    Both are [K, bins, longest].
    """
    longest = max(1, int((last - first).max()))
    pixel = first[..., None] + torch.arange(longest, device=first.device)
    return pixel, pixel < last[..., None]


def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor, argmax: Tensor,
                     pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """Fill ``output`` with the maximum over each bin of each RoI.

    Girshick, "Fast R-CNN", ICCV 2015, section 2.1.

    Args:
        input: feature map [N, C, H, W].
        rois: rows (image index, x1, y1, x2, y2) in pixels of the input image, [K, 5]. Boxes
            without area leave the outputs as they were.
        output: output, [K, C, pooled_height, pooled_width]; 0 for bins outside the map.
        argmax: output, int32, shaped like ``output``: row * W + column of the maximum, -1 for
            bins outside the map.
        pooled_height: bins in a column.
        pooled_width: bins in a row.
        spatial_scale: size of the feature map over that of the image.
    """
    features = widen(input)
    channels, height, width = features.shape[1:]
    rois = rois.to(features.dtype)
    start = rois[:, 1:3] * as_float32(spatial_scale)
    end = (rois[:, 3:5] + 1) * as_float32(spatial_scale)
    valid = (end > start).all(1).nonzero()[:, 0]
    if not valid.numel():
        return
    x_first, x_last = _bin_edges(start[:, 0], end[:, 0], pooled_width, width)
    y_first, y_last = _bin_edges(start[:, 1], end[:, 1], pooled_height, height)
    largest = (x_last - x_first).max() * (y_last - y_first).max()
    for some in chunks(valid, pooled_height * pooled_width * channels * int(largest)):
        x, x_real = _window(x_first[some], x_last[some])
        y, y_real = _window(y_first[some], y_last[some])
        # [K, pooled_height, pooled_width, pixels], row by row within a bin
        pixel = (y[:, :, None, :, None] * width + x[:, None, :, None, :]).flatten(3)
        real = (y_real[:, :, None, :, None] & x_real[:, None, :, None, :]).flatten(3)
        values = gather_pixels(features, rois[some, 0], torch.where(real, pixel, 0))
        values = torch.where(real[..., None] & (values > _FLOOR), values, _FLOOR)
        best, where = values.max(3)
        best = torch.where(real.any(3, keepdim=True), best, 0)
        where = torch.where(best > _FLOOR, pixel.gather(3, where), -1)
        where = torch.where(real.any(3, keepdim=True), where, -1)
        output[some] = best.permute(0, 3, 1, 2).to(output.dtype)
        argmax[some] = where.permute(0, 3, 1, 2).to(argmax.dtype)


def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor, grad_input: Tensor,
                      pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """Add each bin's gradient to ``grad_input`` at the pixel that was its maximum.

    ``grad_output`` is shaped like the output and ``grad_input`` like the feature map; the other
    arguments are those of the forward pass, with the positions that it filled in.
    """
    channels, height, width = grad_input.shape[1:]
    planes = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=rois.device)
    pixel = planes[:, :, None, None] * (height * width) + argmax.clamp(min=0)
    grad = torch.where(argmax == -1, 0, widen(grad_output))
    total = grad.new_zeros(grad_input.numel())
    total.index_add_(0, pixel.flatten(), grad.flatten())
    grad_input.add_(total.view(grad_input.shape))


OPERATORS = {'roi_pool_forward': roi_pool_forward, 'roi_pool_backward': roi_pool_backward}
