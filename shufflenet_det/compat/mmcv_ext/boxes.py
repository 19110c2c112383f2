"""Overlaps of axis-aligned boxes (``csrc/pytorch/cpu/bbox_overlaps_cpu.cpp``)."""

import torch
from torch import Tensor


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool,
                  offset: int) -> None:
    """Fill ``ious`` with the overlap of boxes given as (x1, y1, x2, y2) in pixels.

    Args:
        bboxes1: boxes [M, 4].
        bboxes2: boxes [N, 4]; N equals M if ``aligned``.
        ious: output, [M, N], or [M] if ``aligned``.
        mode: 0 divides the intersection by the union, 1 by the area of ``bboxes1``.
        aligned: pair box i with box i instead of every box with every box.
        offset: added to widths and heights, 1 where x2 and y2 are the last pixels inside.
    """
    if not aligned:
        bboxes1 = bboxes1[:, None]
    top_left = torch.max(bboxes1[..., :2], bboxes2[..., :2])
    bottom_right = torch.min(bboxes1[..., 2:], bboxes2[..., 2:])
    overlap = (bottom_right - top_left + offset).clamp(min=0).prod(-1)
    divisor = (bboxes1[..., 2:] - bboxes1[..., :2] + offset).prod(-1)
    if mode == 0:
        divisor = divisor + (bboxes2[..., 2:] - bboxes2[..., :2] + offset).prod(-1) - overlap
    if divisor.is_cuda:
        # Only mmcv's CUDA kernel bounds the divisor; its CPU code divides by what it finds.
        divisor = divisor.clamp(min=offset)
    ious.copy_(overlap / divisor)


OPERATORS = {'bbox_overlaps': bbox_overlaps}
