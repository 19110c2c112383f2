"""RoIAlign by mean and by maximum (``csrc/pytorch/cpu/roi_align.cpp`` and its CUDA twin).

RoIs are rows (image index, x1, y1, x2, y2) in pixels of the input image. mmcv's two kernels
disagree on boxes with x2 < x1 or y2 < y1 when ``aligned``: the CPU one refuses them, the CUDA
one finds no sample or samples backwards. Both are followed here.
"""

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from ._precision import as_float32, widen
from ._sampling import bilinear, chunks, gather_pixels, sample_positions
from .roi_align_mean import mean_backward, products_pay
from .roi_align_threads import mean_forward

_MAX = 0
# Where mmcv's kernels start looking for a maximum; a bin without a higher sample stays there.
_CPU_FLOOR = -10000.0
_CUDA_FLOOR = torch.finfo(torch.float32).min


def _refuse_bad_rois(rois: Tensor, spatial_scale: float, aligned: bool) -> None:
    # torchvision's CPU kernel allocates memory by these sizes, and crashes if one is no number.
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    bad = ~torch.isfinite(corners).all(1)
    if aligned:
        bad |= (corners[:, 2:] < corners[:, :2]).any(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise RuntimeError(
            f"RoIAlign needs finite boxes{' with x1 <= x2 and y1 <= y2' if aligned else ''}, but "
            f"{int(bad.sum())} of {len(rois)} are not, the first being row {first}: "
            f"{rois[first].tolist()}")


def _max_forward(features: Tensor, rois: Tensor, bins: tuple[int, int], spatial_scale: float,
                 sampling_ratio: int, aligned: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum of each bin's samples and the (y, x) it was sampled at, each [K, C, *bins]."""
    channels, height, width = features.shape[1:]
    floor = _CUDA_FLOOR if features.is_cuda else _CPU_FLOOR
    shape = (len(rois), *bins, channels)
    best = features.new_full(shape, floor)
    best_y, best_x = features.new_full(shape, -1), features.new_full(shape, -1)
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    # Columns are (x, y), as in the boxes.
    start, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not aligned:
        size = size.clamp(min=1)
    bin_size = size / size.new_tensor([bins[1], bins[0]])
    grid = (torch.full_like(size, sampling_ratio) if sampling_ratio > 0 else bin_size.ceil()).int()
    for samples_x, samples_y in grid.unique(dim=0).tolist():
        samples = samples_x * samples_y
        if samples_x <= 0 or samples_y <= 0:
            continue
        same = (grid == grid.new_tensor([samples_x, samples_y])).all(1).nonzero()[:, 0]
        for some in chunks(same, bins[0] * bins[1] * samples * channels):
            y = sample_positions(start[some, 1], bin_size[some, 1], bins[0], samples_y)
            x = sample_positions(start[some, 0], bin_size[some, 0], bins[1], samples_x)
            # [K, bins_y, bins_x, samples], row by row within a bin
            y = y[:, :, None, :, None].expand(-1, -1, bins[1], -1, samples_x).flatten(3)
            x = x[:, None, :, None, :].expand(-1, bins[0], -1, samples_y, -1).flatten(3)
            y0, y1, y0_weight, y1_weight = bilinear(y, height)
            x0, x1, x0_weight, x1_weight = bilinear(x, width)
            value = features.new_zeros(1)
            for row, column, weight in ((y0, x0, y0_weight * x0_weight),
                                        (y0, x1, y0_weight * x1_weight),
                                        (y1, x0, y1_weight * x0_weight),
                                        (y1, x1, y1_weight * x1_weight)):
                pixels = gather_pixels(features, rois[some, 0], row * width + column)
                value = value + weight[..., None] * pixels
            value, where = torch.where(value > floor, value, floor).max(3)
            found = value > floor
            best[some] = value
            best_y[some] = torch.where(found, y.gather(3, where), -1)
            best_x[some] = torch.where(found, x.gather(3, where), -1)
    return tuple(pooled.permute(0, 3, 1, 2) for pooled in (best, best_y, best_x))


def _max_backward(grad: Tensor, rois: Tensor, y: Tensor, x: Tensor, grad_input: Tensor) -> Tensor:
    """Gradient of the feature map: each bin's goes to the pixels around its maximum."""
    channels, height, width = grad_input.shape[1:]
    planes = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=rois.device)
    grad = torch.where(y == -1, 0, grad)
    y0, y1, y0_weight, y1_weight = bilinear(y, height)
    x0, x1, x0_weight, x1_weight = bilinear(x, width)
    total = grad.new_zeros(grad_input.numel())
    for row, column, weight in ((y0, x0, y0_weight * x0_weight), (y0, x1, y0_weight * x1_weight),
                                (y1, x0, y1_weight * x0_weight), (y1, x1, y1_weight * x1_weight)):
        pixel = (planes[:, :, None, None] * height + row) * width + column
        total.index_add_(0, pixel.flatten(), (grad * weight).flatten())
    return total.view(grad_input.shape)


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor,
                      argmax_x: Tensor, aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """Fill ``output`` with RoIs resampled to ``aligned_height`` by ``aligned_width`` bins.

    He et al., "Mask R-CNN", ICCV 2017, section 3.

    Args:
        input: feature map [N, C, H, W].
        rois: [K, 5].
        output: output, [K, C, aligned_height, aligned_width].
        argmax_y: output of maximum pooling, shaped like ``output``: the row on the feature map
            where the maximum was sampled, -1 where there was none.
        argmax_x: likewise the column.
        aligned_height: bins in a column.
        aligned_width: bins in a row.
        spatial_scale: size of the feature map over that of the image.
        sampling_ratio: samples along each side of a bin; 0 takes about one for every pixel.
        pool_mode: 0 takes the maximum of a bin's samples, 1 their mean.
        aligned: shift by half a pixel, so that coordinates mean pixel centres; if not, boxes
            are widened to one pixel of the feature map at least.

    Raises:
        RuntimeError: on CPU, a box is not finite, or it is inverted and ``aligned``.
    """
    spatial_scale = as_float32(spatial_scale)
    features = widen(input)
    rois = rois.to(features.dtype)
    if not rois.is_cuda:
        _refuse_bad_rois(rois, spatial_scale, aligned)
    if pool_mode == _MAX:
        pooled = _max_forward(features, rois, (aligned_height, aligned_width), spatial_scale,
                              sampling_ratio, aligned)
        for target, values in zip((output, argmax_y, argmax_x), pooled, strict=True):
            target.copy_(values)
    else:
        mean_forward(features, rois, output, spatial_scale, sampling_ratio, aligned)


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                       grad_input: Tensor, aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int, pool_mode: int,
                       aligned: bool) -> None:
    """Add the gradient of :func:`roi_align_forward`'s feature map to ``grad_input``.

    ``grad_output`` is shaped like the output and ``grad_input`` like the feature map; the other
    arguments are those of the forward pass, with the positions that it filled in.
    """
    grad = widen(grad_output)
    rois = rois.to(grad.dtype)
    spatial_scale = as_float32(spatial_scale)
    bins, (height, width) = (aligned_height, aligned_width), grad_input.shape[2:]
    if pool_mode == _MAX:
        gradient = _max_backward(grad, rois, widen(argmax_y), widen(argmax_x), grad_input)
    elif not grad.is_cuda and len(rois) and products_pay(bins, height, width):
        gradient = mean_backward(
            grad, rois, grad_input.shape, spatial_scale, sampling_ratio, aligned)
    else:
        gradient = torch.ops.torchvision._roi_align_backward(
            grad, rois, spatial_scale, *bins, *grad_input.shape, sampling_ratio, aligned)
    grad_input.add_(gradient)


OPERATORS = {'roi_align_forward': roi_align_forward, 'roi_align_backward': roi_align_backward}
