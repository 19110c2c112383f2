"""Deformable RoI pooling (``csrc/common/cuda/deform_roi_pool_cuda_kernel.cuh``).

RoIAlign by mean whose bins may each be moved. mmcv has it for CUDA only; here it runs on CPU, too.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ._precision import as_float32, widen
from ._sampling import bilinear, chunks, gather_pixels, sample_positions


def _windows(rois: Tensor, offset: Tensor, bins: tuple[int, int], channels: int,
             spatial_scale: float, sampling_ratio: int, gamma: float
             ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Where RoIs are sampled, those together that have as many samples in a bin.

    Yields:
        Which RoIs [K], their extent (x, y) on the feature map [K, 2], and the rows and the columns
        of the samples, each [K, *bins, samples].
    """
    spatial_scale, gamma = as_float32(spatial_scale), as_float32(gamma)
    corners = rois[:, 1:] * spatial_scale - 0.5
    # columns are (x, y), as in the boxes
    start, extent = corners[:, :2], corners[:, 2:] - corners[:, :2]
    bin_size = extent / extent.new_tensor([bins[1], bins[0]])
    grid = (torch.full_like(extent, sampling_ratio) if sampling_ratio > 0
            else bin_size.ceil()).int()
    for samples_x, samples_y in grid.unique(dim=0).tolist():
        if samples_x <= 0 or samples_y <= 0:
            continue
        same = (grid == grid.new_tensor([samples_x, samples_y])).all(1).nonzero()[:, 0]
        for some in chunks(same, bins[0] * bins[1] * samples_x * samples_y * channels):
            y = sample_positions(start[some, 1], bin_size[some, 1], bins[0], samples_y)
            x = sample_positions(start[some, 0], bin_size[some, 0], bins[1], samples_x)
            # [K, bins_y, bins_x, samples], row by row within a bin
            y = y[:, :, None, :, None].expand(-1, -1, bins[1], -1, samples_x).flatten(3)
            x = x[:, None, :, None, :].expand(-1, bins[0], -1, samples_y, -1).flatten(3)
            if offset.numel():
                moved = gamma * extent[some, :, None, None] * offset[some].to(extent.dtype)
                x, y = x + moved[:, 0, ..., None], y + moved[:, 1, ..., None]
            yield some, extent[some], y, x


def deform_roi_pool_forward(input: Tensor, rois: Tensor, offset: Tensor, output: Tensor,
                            pooled_height: int, pooled_width: int, spatial_scale: float,
                            sampling_ratio: int, gamma: float) -> None:
    """Fill ``output`` with RoIs resampled to bins that are moved by ``offset``.

    Dai et al., "Deformable Convolutional Networks", ICCV 2017, section 2.2.

    Args:
        input: feature map [N, C, H, W].
        rois: rows (image index, x1, y1, x2, y2) in pixels of the image, [K, 5].
        offset: how far each bin is moved, first in x, then in y, as a share of the RoI's extent
            times ``gamma``, [K, 2, pooled_height, pooled_width]; no elements for no movement.
        output: output, [K, C, pooled_height, pooled_width].
        pooled_height: bins in a column.
        pooled_width: bins in a row.
        spatial_scale: size of the feature map over that of the image.
        sampling_ratio: samples along each side of a bin; 0 takes about one for every pixel.
        gamma: factor of the offsets.
    """
    features = widen(input)
    channels, height, width = features.shape[1:]
    rois, bins = rois.to(features.dtype), (pooled_height, pooled_width)
    # boxes without area have no samples
    output.zero_()
    for some, _, y, x in _windows(rois, offset, bins, channels, spatial_scale, sampling_ratio,
                                  gamma):
        y0, y1, y0_weight, y1_weight = bilinear(y, height)
        x0, x1, x0_weight, x1_weight = bilinear(x, width)
        total = 0
        for row, row_weight in ((y0, y0_weight), (y1, y1_weight)):
            for column, weight in ((x0, x0_weight), (x1, x1_weight)):
                pixels = gather_pixels(features, rois[some, 0], row * width + column)
                total = total + ((row_weight * weight)[..., None] * pixels).mean(3)
        output[some] = total.permute(0, 3, 1, 2).to(output.dtype)


def deform_roi_pool_backward(grad_output: Tensor, input: Tensor, rois: Tensor, offset: Tensor,
                             grad_input: Tensor, grad_offset: Tensor, pooled_height: int,
                             pooled_width: int, spatial_scale: float, sampling_ratio: int,
                             gamma: float) -> None:
    """Add the gradients of :func:`deform_roi_pool_forward` to ``grad_input`` and ``grad_offset``.

    ``grad_output`` is shaped like the output, ``grad_input`` and ``grad_offset`` like their
    namesakes; the other arguments are those of the forward pass. As in mmcv's kernel, the gradient
    of an offset takes samples beyond the outermost pixels' centres as where they are.
    """
    features = widen(input)
    grad_output = widen(grad_output).permute(0, 2, 3, 1)
    channels, height, width = features.shape[1:]
    rois, bins = rois.to(features.dtype), (pooled_height, pooled_width)
    total = features.new_zeros(len(features) * height * width, channels)
    for some, extent, y, x in _windows(rois, offset, bins, channels, spatial_scale, sampling_ratio,
                                       gamma):
        # [K, *bins, 1, C]
        grad = grad_output[some][..., None, :] / y.shape[-1]
        y0, y1, y0_weight, y1_weight = bilinear(y, height)
        x0, x1, x0_weight, x1_weight = bilinear(x, width)
        first_pixel = (rois[some, 0].long() * height * width)[:, None, None, None]
        slopes = []
        for row, row_weight in ((y0, y0_weight), (y1, y1_weight)):
            for column, weight in ((x0, x0_weight), (x1, x1_weight)):
                pixel = row * width + column
                share = (row_weight * weight)[..., None] * grad
                total.index_add_(0, (first_pixel + pixel).flatten(), share.flatten(0, -2))
                if offset.numel():
                    pixels = gather_pixels(features, rois[some, 0], pixel)
                    slopes.append((pixels * grad).sum(-1))
        if offset.numel():
            top_left, top_right, bottom_left, bottom_right = slopes
            along_x = (y1 - y) * (top_right - top_left) + (y - y0) * (bottom_right - bottom_left)
            along_y = (x1 - x) * (bottom_left - top_left) + (x - x0) * (bottom_right - top_right)
            # a sample further out than a pixel is zero, wherever it moves
            inside = (y0_weight + y1_weight > 0) & (x0_weight + x1_weight > 0)
            along = torch.stack((along_x, along_y), 1).where(inside[:, None], 0).sum(-1)
            moved = as_float32(gamma) * extent[:, :, None, None] * along
            grad_offset[some] += moved.to(grad_offset.dtype)
    grad_input.add_(total.view(len(features), height, width, channels).permute(0, 3, 1, 2))


OPERATORS = {
    'deform_roi_pool_forward': deform_roi_pool_forward,
    'deform_roi_pool_backward': deform_roi_pool_backward,
}
