"""Non-maximum suppression: hard, soft and with groups (``csrc/pytorch/cpu/nms.cpp``).

Boxes are (x1, y1, x2, y2) in pixels, and ``offset`` is 1 where x2 and y2 are the last pixels
inside, else 0. mmcv has these kernels for float32 only; here float64 is computed as it is and
every other type as float32.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from ._precision import as_float32, widen


def _greedy_groups(boxes: np.ndarray, offset: int,
                   suppresses: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """Give every box, best first, those that follow it and that it suppresses.

    Args:
        boxes: [N, 4], best first.
        offset: added to widths and heights.
        suppresses: tells for an array of IoUs which are too high.

    Returns:
        One array of indices into ``boxes`` for each box kept: itself, then those it suppressed.
    """
    order = np.arange(len(boxes))
    low, high = boxes[:, :2].T, boxes[:, 2:].T
    areas = (high - low + offset).prod(axis=0)
    groups = []
    with np.errstate(invalid='ignore', divide='ignore'):
        while order.size:
            sides = np.minimum(high[:, 1:], high[:, :1]) - np.maximum(low[:, 1:], low[:, :1])
            overlap = np.maximum(sides + offset, 0).prod(axis=0)
            # A box of NaNs suppresses nothing and is not suppressed: comparisons are false.
            hit = suppresses(overlap / (areas[0] + areas[1:] - overlap))
            groups.append(np.concatenate([order[:1], order[1:][hit]]))
            left = np.flatnonzero(~hit) + 1
            order, areas, low, high = order[left], areas[left], low[:, left], high[:, left]
    return groups


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Keep the boxes that no better box overlaps by more than ``iou_threshold``.

    Args:
        boxes: [N, 4], any device.
        scores: [N].
        iou_threshold: boxes are dropped above it, not at it.
        offset: added to widths and heights.

    Returns:
        Indices of the kept boxes, best first.
    """
    if boxes.numel() == 0:
        return boxes.new_empty(0, dtype=torch.long)
    # Ties keep the order of this very call, which is not always the stable one that torchvision
    # sorts by, hence the strictly falling ranks (exact in float32 for 16 million boxes).
    order = torch.sort(scores, dim=0, descending=True)[1]
    boxes = widen(boxes[order])
    threshold = as_float32(iou_threshold)
    if offset == 0:
        ranks = torch.arange(boxes.shape[0], 0, -1, dtype=boxes.dtype, device=boxes.device)
        return order[torchvision_nms(boxes, ranks, threshold)]
    # Adding 1 to x2 and y2 beforehand would let torchvision do this, but rounds differently.
    groups = _greedy_groups(boxes.cpu().numpy(), offset, lambda iou: iou > threshold)
    return order[torch.tensor([group[0] for group in groups], device=order.device)]


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group every kept box with the boxes it suppresses.

    Args:
        dets: boxes with their score, [N, 5].
        iou_threshold: boxes are dropped at it and above.

    Returns:
        For each kept box, best first, its index followed by those it suppressed, best first.
    """
    order = torch.sort(dets[:, 4], dim=0, descending=True)[1]
    boxes = widen(dets[order, :4]).cpu().numpy()
    threshold = as_float32(iou_threshold)
    groups = _greedy_groups(boxes, 0, lambda iou: iou >= threshold)
    indices = order.cpu().numpy()
    return [indices[group].tolist() for group in groups]


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float,
            min_score: float, method: int, offset: int) -> Tensor:
    """Soft-NMS: lower the scores of overlapping boxes instead of dropping them.

    Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017.

    Args:
        boxes: [N, 4], on CPU.
        scores: [N].
        dets: output, [N, 5]: boxes and lowered scores, best first. Rows past the number of
            indices returned are left as they were.
        iou_threshold: lower bound of the overlap that counts, for methods 0 and 1.
        sigma: width of the Gaussian of method 2.
        min_score: boxes whose score falls below it are dropped.
        method: 0 sets the score to zero, 1 scales it by 1 - IoU, 2 by exp(-IoU^2 / sigma).
        offset: added to widths and heights.

    Returns:
        Indices of the boxes left, in the order of ``dets``.
    """
    corners = widen(boxes).numpy()
    real = corners.dtype.type
    threshold, sigma, min_score = (real(np.float32(v)) for v in (iou_threshold, sigma, min_score))
    # Rows x1, y1, x2, y2, area, score: one column moves a whole box.
    table = np.empty((6, len(corners)), corners.dtype)
    table[:4] = corners.T
    table[4] = (table[2:4] - table[:2] + offset).prod(axis=0)
    table[5] = widen(scores).numpy()
    indices = np.arange(len(corners))
    start, end = 0, len(corners)
    filtered = False
    with np.errstate(invalid='ignore', divide='ignore'):
        while start < end:
            best = start + int(table[5, start:end].argmax())
            if best != start:
                table[:, [start, best]] = table[:, [best, start]]
                indices[[start, best]] = indices[[best, start]]
            low, high = table[:2, start:start + 1], table[2:4, start:start + 1]
            area = table[4, start]
            start += 1
            rest = table[:, start:end]
            sides = np.minimum(rest[2:4], high)
            sides -= np.maximum(rest[:2], low)
            if offset:
                sides += offset
            np.maximum(sides, 0, out=sides)
            overlap = sides[0] * sides[1]
            iou = overlap / (rest[4] + area - overlap)
            if method == 2:
                # Through float64: numpy's float32 exp is an ulp off where C's is not.
                rest[5] *= np.exp((-(iou * iou) / sigma).astype(np.float64)).astype(real)
            else:
                hit = np.flatnonzero(iou >= threshold)
                if filtered and not hit.size:
                    continue
                rest[5, hit] *= 1 - iou[hit] if method == 1 else 0
            filtered = True
            dropped = rest[5] < min_score
            if dropped.any():
                # The last box takes a dropped one's place: positions decide between equal scores.
                new_end = end - np.count_nonzero(dropped)
                holes = start + np.flatnonzero(dropped[:new_end - start])
                fillers = (new_end + np.flatnonzero(~dropped[new_end - start:]))[::-1]
                table[:, holes] = table[:, fillers]
                indices[holes] = indices[fillers]
                end = new_end
    dets[:end] = torch.from_numpy(table[[0, 1, 2, 3, 5], :end].T.copy()).to(dets)
    return torch.from_numpy(indices[:end])


OPERATORS = {'nms': nms, 'nms_match': nms_match, 'softnms': softnms}
