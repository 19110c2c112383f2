"""Boxes of detectors: from deltas, and without those that better ones overlap.

Boxes are (N, 4) of float32, x1, y1, x2, y2 in pixels. All is computed in float32 and in the order
of MMDetection's operations, so that the same decisions fall.
"""
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .sessions import Outputs

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
    width: int | None = None,
    height: int | None = None,
    most_log_ratio: float | None = _MAX_LOG_RATIO,
    most_shift: float | None = None,
) -> np.ndarray:
    """Boxes that deltas make of others (``DeltaXYWHBBoxCoder``).

    Args:
        boxes: (N, 4).
        deltas: (N, 4), of the centre in parts of the size, and of the logarithm of the size.
        means, stds: four numbers each, of the deltas.
        width, height: of the image in pixels, to which boxes are clipped; None to leave them.
        most_log_ratio: limit of the logarithm; None for none.
        most_shift: limit of the centre's way in pixels, as YOLOF has it; None for none.

    Returns:
        (N, 4).
    """
    deltas = deltas * np.float32(stds) + np.float32(means)
    centre = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    size = boxes[:, 2:] - boxes[:, :2]
    shift, logarithm = size * deltas[:, :2], deltas[:, 2:]
    if most_shift is not None:
        shift = shift.clip(-np.float32(most_shift), np.float32(most_shift))
    if most_log_ratio is not None:
        limit = np.float32(most_log_ratio)
        logarithm = logarithm.clip(None if most_shift is not None else -limit, limit)
    centre, half = centre + shift, size * np.exp(logarithm) * np.float32(0.5)
    decoded = np.concatenate([centre - half, centre + half], axis=1)
    if width is None:
        return decoded
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


def class_nms(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray | None, iou_threshold: float,
    limit: int,
) -> np.ndarray:  # fmt: skip
    """:func:`nms` for each class on its own; labels (N,) are None for all together."""
    if labels is not None:
        # as `batched_nms` of mmcv does it
        span = boxes.max(initial=0) + np.float32(1)
        boxes = boxes + (labels.astype(np.float32) * span)[:, None]
    return nms(boxes, scores, iou_threshold, limit)


def vote(
    kept: np.ndarray, kept_labels: np.ndarray, boxes: np.ndarray, labels: np.ndarray,
    scores: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Means (K, 4) of all boxes (N, 4) of the class of each kept one (``PAAHead.score_voting``).

    They weigh ``exp(-(1 - IoU) ** 2 / 0.025) * score`` where the IoU is above 0.01.
    """
    ious = _ious(np.ascontiguousarray(kept.T), np.ascontiguousarray(boxes.T))
    near = (ious > np.float32(0.01)) & (kept_labels[:, None] == labels)
    weights = np.where(near, np.exp(-np.square(1 - ious) / np.float32(0.025)) * scores, 0)
    return weights @ boxes / weights.sum(axis=1, keepdims=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def pad(image: np.ndarray, padding: Mapping[str, Any]) -> np.ndarray:
    """An image (3, H, W) as float32, filled up at the right and at the bottom.

    Args:
        padding: ``divisor`` of height and width, and the ``values`` of the three channels.
    """
    divisor, (height, width) = padding['divisor'], image.shape[1:]
    shape = 3, height + -height % divisor, width + -width % divisor
    padded = np.empty(shape, np.float32)
    padded[:] = np.float32(padding['values'])[:, None, None]
    padded[:, :height, :width] = image
    return padded


def detections(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Outputs:
    """The outputs of a detector."""
    boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    return dict(boxes=boxes, scores=scores, labels=labels.astype(np.int64))


def _overlap(some: np.ndarray, others: np.ndarray, threshold: float) -> np.ndarray:
    """Whether the IoU of boxes (4, N) and (4, M) is above a threshold, (N, M)."""
    # nothing of nothing is NaN, which is not above anything
    return _ious(some, others) > np.float32(threshold)


def _ious(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(some[:2, :, None], others[:2, None])
    high = np.minimum(some[2:, :, None], others[2:, None])
    width, height = np.maximum(high - low, 0)
    intersection = width * height
    areas, other_areas = _areas(some)[:, None], _areas(others)
    with np.errstate(invalid='ignore', divide='ignore'):
        return intersection / (areas + other_areas - intersection)


def _areas(sides: np.ndarray) -> np.ndarray:
    return (sides[2] - sides[0]) * (sides[3] - sides[1])
