"""Boxes of detectors: from deltas, and without those that better ones overlap.

Boxes are (N, 4) of float32, x1, y1, x2, y2 in pixels. All is computed in float32 and in the order
of MMDetection's operations, so that the same decisions fall.
"""
import math
from collections.abc import Sequence

import numpy as np

# of `DeltaXYWHBBoxCoder.decode`
_MAX_LOG_RATIO = abs(math.log(16 / 1000))
# of boxes that are compared with each other at once
_BLOCK = 128


def top_k(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices (K,) of the ``limit`` largest of (N,) values, or of all, largest first.

    Of equal values the first comes first, and the first are taken, as ONNX has it.
    """
    if limit < len(values):
        least = -np.partition(-values, limit - 1)[limit - 1]
        above = np.flatnonzero(values > least)
        equal = np.flatnonzero(values == least)[: limit - len(above)]
        chosen = np.sort(np.concatenate([above, equal]))
    else:
        chosen = np.arange(len(values))
    return chosen[np.argsort(-values[chosen], kind='stable')]


def decode(
    boxes: np.ndarray,
    deltas: np.ndarray,
    means: Sequence[float],
    stds: Sequence[float],
    width: int,
    height: int,
) -> np.ndarray:
    """Boxes that deltas make of others (``DeltaXYWHBBoxCoder``), clipped to the image.

    Args:
        boxes: (N, 4).
        deltas: (N, 4), of the centre in parts of the size, and of the logarithm of the size.
        means, stds: four numbers each, of the deltas.
        width, height: of the image in pixels.

    Returns:
        (N, 4).
    """
    deltas = deltas * np.float32(stds) + np.float32(means)
    centre = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    size = boxes[:, 2:] - boxes[:, :2]
    centre = centre + size * deltas[:, :2]
    limit = np.float32(_MAX_LOG_RATIO)
    half = size * np.exp(deltas[:, 2:].clip(-limit, limit)) * np.float32(0.5)
    decoded = np.concatenate([centre - half, centre + half], axis=1)
    return decoded.clip(0, np.float32([width, height, width, height]))


def nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float, limit: int) -> np.ndarray:
    """Keep the boxes that no better box overlaps by more than a threshold.

    Args:
        boxes: (N, 4).
        scores: (N,).
        iou_threshold: a box is dropped above it, not at it.
        limit: most boxes to keep.

    Returns:
        Indices (K,) of the kept boxes, best first, K at most ``limit``.
    """
    order = np.argsort(-scores, kind='stable')
    sides = np.ascontiguousarray(boxes[order].T)
    kept = np.empty(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(order)))
        block = block[~_overlap(sides[:, kept], sides[:, block], iou_threshold).any(axis=0)]
        suppresses = _overlap(sides[:, block], sides[:, block], iou_threshold)
        left = np.ones(len(block), bool)
        for index in range(len(block)):
            if left[index]:
                left[index + 1 :] &= ~suppresses[index, index + 1 :]
        kept = np.concatenate([kept, block[left]])
        if len(kept) >= limit:
            break
    return order[kept[:limit]]


def _overlap(some: np.ndarray, others: np.ndarray, threshold: float) -> np.ndarray:
    """Whether the IoU of boxes (4, N) and (4, M) is above a threshold, (N, M)."""
    low = np.maximum(some[:2, :, None], others[:2, None])
    high = np.minimum(some[2:, :, None], others[2:, None])
    width, height = np.maximum(high - low, 0)
    intersection = width * height
    areas, other_areas = _areas(some)[:, None], _areas(others)
    # nothing of nothing is NaN, which is not above anything
    with np.errstate(invalid='ignore', divide='ignore'):
        return intersection / (areas + other_areas - intersection) > np.float32(threshold)


def _areas(sides: np.ndarray) -> np.ndarray:
    return (sides[2] - sides[0]) * (sides[3] - sides[1])
