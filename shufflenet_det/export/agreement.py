"""Whether two sets of results are the same."""
from collections.abc import Mapping
from dataclasses import dataclass

from shufflenet_runtime.sessions import Outputs

import numpy as np

BOX_TOLERANCE = 0.5
"""Pixels of the resized image."""
SCORE_TOLERANCE = 1e-3
LEAST_SCORE = 0.05
"""Detections below it are not compared."""


@dataclass(frozen=True)
class Difference:
    """How far results are from PyTorch's.

    Attributes:
        compared: number of detections of PyTorch, or of values.
        unmatched: detections of either side for which the other has none of the same label within
            the tolerances; values that are off by more than the tolerance.
        boxes: largest difference of a coordinate of matching detections, in pixels; None of
            logits and levels.
        scores: largest difference of their scores; of logits and levels that of their values,
            relative to the largest of them.
    """

    compared: int
    unmatched: int
    boxes: float | None
    scores: float

    @property
    def agrees(self) -> bool:
        return self.unmatched == 0


def compare(
    kind: str, expected: Outputs, found: Outputs, thresholds: Mapping[str, float] | None = None
) -> Difference:
    """Compare results of an exported network with PyTorch's.

    Args:
        kind: ``'detector'``, ``'classifier'`` or ``'backbone'``.
        expected: PyTorch's results.
        found: the others.
        thresholds: of a detector, ``score`` and ``max_per_image``.
    """
    if kind == 'detector':
        return _compare_detections(expected, found, thresholds or {})
    pairs = [(values, found[name]) for name, values in expected.items()]
    scales = [max(float(np.abs(a).max()), 1e-12) for a, _ in pairs]
    return _compare_values([(a / x, b / x) for (a, b), x in zip(pairs, scales, strict=True)])


def _compare_values(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Difference:
    compared = sum(a.size for a, _ in pairs)
    if any(a.shape != b.shape for a, b in pairs):
        return Difference(compared, compared, None, 0.0)
    differences = np.concatenate([np.abs(a - b).ravel() for a, b in pairs])
    # a comparison that NaN fails
    unmatched = int((~(differences <= SCORE_TOLERANCE)).sum())
    return Difference(compared, unmatched, None, float(differences.max(initial=0)))


def _compare_detections(
    expected: Outputs, found: Outputs, thresholds: Mapping[str, float]
) -> Difference:
    compared = int((expected['scores'] > LEAST_SCORE).sum())
    partners = _partners(expected, found)
    matched = partners >= 0
    boxes = np.abs(expected['boxes'][matched] - found['boxes'][partners[matched]])
    scores = np.abs(expected['scores'][matched] - found['scores'][partners[matched]])
    left = np.ones(len(found['scores']), bool)
    left[partners[matched]] = False
    unmatched = sum(
        _must_match(results['scores'], candidates, thresholds)
        for results, candidates in ((expected, ~matched), (found, left))
    )
    return Difference(
        compared, unmatched, float(boxes.max(initial=0)), float(scores.max(initial=0))
    )


def _partners(expected: Outputs, found: Outputs) -> np.ndarray:
    """For each detection the index of another within the tolerances, the nearest, or -1."""
    partners = np.full(len(expected['scores']), -1)
    free = np.ones(len(found['scores']), bool)
    for index, (box, score, label) in enumerate(
        zip(expected['boxes'], expected['scores'], expected['labels'], strict=True)
    ):
        distance = np.abs(found['boxes'] - box).max(axis=1)
        fits = free & (found['labels'] == label) & (distance <= BOX_TOLERANCE)
        fits &= np.abs(found['scores'] - score) <= SCORE_TOLERANCE
        if fits.any():
            partners[index] = np.where(fits, distance, np.inf).argmin()
            free[partners[index]] = False
    return partners


def _must_match(
    scores: np.ndarray, candidates: np.ndarray, thresholds: Mapping[str, float]
) -> int:
    """How many of some detections the other side should have.

    A score that is by rounding above a threshold here may be below it there. Where the number of
    detections is at its limit, the last of them is such a threshold, too.
    """
    threshold = max(LEAST_SCORE, thresholds.get('score', 0))
    if len(scores) and len(scores) == thresholds.get('max_per_image'):
        threshold = max(threshold, float(scores.min()))
    return int((scores[candidates] > threshold + SCORE_TOLERANCE).sum())
