"""What the glue of a detector must give: one table for all of its forms.

The reference is MMDetection's and mmcv's own code, and figures by hand where a rule is a matter of
choice: which of equal scores comes first, and what happens at a threshold.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from mmcv.ops import nms as mmcv_nms
from mmcv.ops import roi_align as mmcv_roi_align
from mmdet.models.task_modules import DeltaXYWHBBoxCoder


class Case(NamedTuple):
    """One call and its result.

    Attributes:
        name: for reports.
        function: ``'decode'``, ``'nms'``, ``'top_k'`` or ``'roi_align'``.
        arrays: inputs that differ from image to image.
        settings: inputs that a detector fixes.
        expected: result.
    """

    name: str
    function: str
    arrays: tuple[np.ndarray, ...]
    settings: dict
    expected: np.ndarray


def boxes(number: int, seed: int = 0, size: float = 200) -> np.ndarray:
    """Random boxes (number, 4)."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, size, (number, 2))
    found = np.concatenate([corner, corner + rng.uniform(0, size, (number, 2))], axis=1)
    return found.astype(np.float32)


def _decode_cases() -> list[Case]:
    deltas = np.random.default_rng(1).normal(scale=8, size=(300, 4)).astype(np.float32)
    cases = []
    for name, means, stds in (
        ('plain', (0.0,) * 4, (1.0,) * 4),
        ('normalised', (0.1, -0.1, 0.2, 0.0), (0.1, 0.1, 0.2, 0.3)),
    ):
        for number in (0, 1, 300):
            # sizes that are held back, and boxes that leave the image
            anchors = boxes(number)
            expected = DeltaXYWHBBoxCoder(means, stds).decode(
                torch.from_numpy(anchors), torch.from_numpy(deltas[:number]), max_shape=(180, 250)
            )
            settings = dict(means=means, stds=stds, width=250, height=180)
            cases.append(
                Case(f'decode {name} {number}', 'decode', (anchors, deltas[:number]), settings,
                     expected.numpy())
            )  # fmt: skip
    return cases


def _nms_cases() -> list[Case]:
    cases = []
    for number in (0, 1, 127, 128, 129, 700):
        found = boxes(number)
        # of no width, of no area, twice the same
        found[1:2, 2], found[2:3, 2:] = found[1:2, 0], found[2:3, :2]
        found[3:6] = found[6:7]
        scores = np.random.default_rng(1).normal(size=number).astype(np.float32)
        for threshold, limit in ((0.3, 1000), (0.7, 1000), (0.7, 50)):
            _, kept = mmcv_nms(torch.from_numpy(found), torch.from_numpy(scores), threshold)
            settings = dict(iou_threshold=threshold, limit=limit)
            name = f'nms {number} at {threshold}, {limit}'
            cases.append(Case(name, 'nms', (found, scores), settings, kept[:limit].numpy()))
    half = np.float32([[0, 0, 10, 10], [0, 0, 10, 5]])
    equal, rising = np.ones(2, np.float32), np.float32([1, 2])
    for name, scores, threshold, expected in (
        # dropped above the threshold, not at it; of equal scores the first comes first
        ('IoU at the threshold', equal, 0.5, [0, 1]),
        ('IoU above the threshold', equal, 0.49, [0]),
        ('best first', rising, 0.5, [1, 0]),
        ('the better one stays', rising, 0.49, [1]),
    ):
        settings = dict(iou_threshold=threshold, limit=9)
        cases.append(Case(f'nms {name}', 'nms', (half, scores), settings, np.int64(expected)))
    ties = np.float32([[0, 0, 4, 4], [50, 0, 54, 4], [0, 50, 4, 54], [50, 50, 54, 54]])
    tied = np.float32([0.5, 0.9, 0.5, 0.5])
    cases.append(
        Case('nms ties in order', 'nms', (ties, tied), dict(iou_threshold=0.5, limit=9),
             np.int64([1, 0, 2, 3]))
    )  # fmt: skip
    return cases


def _top_k_cases() -> list[Case]:
    values = np.random.default_rng(0).permutation(1000).astype(np.float32)
    order = np.argsort(-values)
    cases = [
        Case(f'top {limit} of 1000', 'top_k', (values,), dict(limit=limit), order[:limit])
        for limit in (1, 300, 1000, 100_000)
    ]
    few = np.float32([1, 2, 1, 2, 0])
    none = np.empty(0, np.float32)
    return cases + [
        Case('top 9 with ties', 'top_k', (few,), dict(limit=9), np.int64([1, 3, 0, 2, 4])),
        Case('top 3 with ties', 'top_k', (few,), dict(limit=3), np.int64([1, 3, 0])),
        Case('top 3 of none', 'top_k', (none,), dict(limit=3), np.empty(0, np.int64)),
    ]


def _roi_align_cases() -> list[Case]:
    cases = []
    for aligned in (True, False):
        for samples in (0, 2):
            rng = np.random.default_rng(0)
            features = rng.normal(size=(3, 19, 26)).astype(np.float32)
            corners = rng.uniform(-20, 240, (60, 2, 2)).astype(np.float32)
            corners.sort(axis=1)
            # all of the map, a point, its far corner, a line, and outside
            special = [[0, 0, 208, 152], [5, 5, 5, 5], [208, 152, 208, 152], [0, 3, 208, 3]]
            rois = np.concatenate([corners.reshape(-1, 4), np.float32(special)])
            rows = np.concatenate([np.zeros((len(rois), 1), np.float32), rois], axis=1)
            expected = mmcv_roi_align(
                torch.from_numpy(features[None]), torch.from_numpy(rows), (5, 7), 1 / 8, samples,
                'avg', aligned,
            ).numpy()  # fmt: skip
            settings = dict(bins=(5, 7), scale=1 / 8, samples=samples, aligned=aligned)
            name = f'roi_align {samples} samples, aligned={aligned}'
            cases.append(Case(name, 'roi_align', (features, rois), settings, expected))
    return cases


CASES = [*_decode_cases(), *_nms_cases(), *_top_k_cases(), *_roi_align_cases()]
Implementation = Callable[[Case], np.ndarray]
