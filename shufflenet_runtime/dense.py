"""One-stage detectors whose engine runs a network alone: what follows it, in numpy.

The network makes maps from an image: of each level class scores (A * K, h, w), box numbers
(A * E, h, w) and, where there are any, factors (A, h, w), for A priors at each place. The rest is
here, with settings that come as JSON: ``padding``, the ``divisor`` of height and width and the
``values`` of the channels, and what the export has read from a head: the fields of its
``DenseSettings``, which are explained there.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .boxes import class_nms, decode, detections, pad, softmax, top_k, vote
from .sessions import Outputs

Settings = Mapping[str, Any]


def names_of_maps(settings: Settings) -> tuple[str, ...]:
    """Names of the maps of a level, which may be a single one."""
    if settings['joined']:
        return ('maps',)
    return ('classes', 'boxes', *(['factors'] if settings['factor'] else []))


class DenseDetector:
    """A detector of one image.

    Args:
        settings: as above.
        extract: the network, of an image (3, H, W) of float32, padded, to the maps of each level in
            the order of :func:`names_of_maps`.
    """

    def __init__(
        self, settings: Settings, extract: Callable[[np.ndarray], Sequence[Sequence[np.ndarray]]]
    ) -> None:
        self._settings, self._extract = settings, extract
        self._priors = [np.float32(level['priors']) for level in settings['levels']]

    def __call__(self, images: np.ndarray) -> Outputs:
        """Detect.

        Args:
            images: one image (1, 3, H, W) of uint8.

        Returns:
            ``boxes`` (N, 4) of float32 in pixels of the image, ``scores`` (N,) of float32 and
            ``labels`` (N,) of int64, best first.
        """
        (image,) = images
        settings = self._settings
        maps = self._extract(pad(image, settings['padding']))
        found = [self._of_level(level, *these) for level, these in enumerate(maps)]
        scores, factors, labels, boxes = map(np.concatenate, zip(*found, strict=True))
        if settings['most_in_all'] is not None:
            best = top_k(scores, settings['most_in_all'])
            scores, factors, labels, boxes = (x[best] for x in (scores, factors, labels, boxes))
        if settings['factor'] == 'after':
            scores = scores * factors
        if settings['border'] is not None:
            height, width = (size - settings['border'] for size in image.shape[1:])
            boxes = boxes.clip(0, np.float32([width, height, width, height]))
        if settings['min_size'] is not None:
            large = (boxes[:, 2:] - boxes[:, :2] > settings['min_size']).all(axis=1)
            scores, labels, boxes = scores[large], labels[large], boxes[large]
        limit = settings['max_per_img']
        keep = class_nms(
            boxes, scores, None if settings['class_agnostic'] else labels,
            settings['iou_threshold'], len(scores) if limit is None else limit,
        )  # fmt: skip
        kept = boxes[keep]
        if settings['voting']:
            kept = vote(kept, labels[keep], boxes, labels, scores)
        return detections(kept, scores[keep], labels[keep])

    def _of_level(self, level: int, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
        """Scores (N,), factors (N,), labels (N,) and boxes (N, 4) of the best of a level."""
        settings, count = self._settings, len(self._priors[level])
        if settings['joined']:
            (joined,) = maps
            joined = joined.reshape(count, -1, *joined.shape[1:])
            maps = joined[:, 5:], joined[:, :4], joined[:, 4]
        # (A, K, h, w) to (h, w, A, K): by place and then by prior, as MMDetection has them
        numbers = maps[0].reshape(count, -1, *maps[0].shape[-2:]).transpose(2, 3, 0, 1)
        factors = np.ones(numbers.shape[:3], np.float32)
        if settings['factor']:
            factors = _sigmoid(maps[2].reshape(count, *maps[2].shape[-2:]).transpose(1, 2, 0))
        scores = self._scores(numbers.reshape(-1, numbers.shape[3]), factors.reshape(-1, 1))
        priors = np.arange(len(scores))
        if settings['most_priors'] is not None:
            priors = top_k(scores.max(axis=1), settings['most_priors'])
            scores = scores[priors]
        classes = np.zeros((len(scores), scores.shape[1]), np.int64) + np.arange(scores.shape[1])
        if settings['one_class']:
            classes, scores = scores.argmax(axis=1)[:, None], scores.max(axis=1)[:, None]
        pairs = np.flatnonzero(scores > np.float32(settings['score_threshold']))
        if settings['most_scores'] is not None:
            pairs = pairs[top_k(scores.ravel()[pairs], settings['most_scores'])]
        chosen = priors[pairs // scores.shape[1]]
        boxes = self._boxes(level, maps[1], *np.divmod(chosen, count))
        return scores.ravel()[pairs], factors.ravel()[chosen], classes.ravel()[pairs], boxes

    def _scores(self, scores: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Scores (P, C) of numbers (P, K) and factors (P, 1)."""
        settings = self._settings
        if settings['score'] == 'sigmoid':
            scores = _sigmoid(scores)
        elif settings['score'] == 'softmax':
            scores = softmax(scores)[:, : settings['num_classes']]
        if settings['least_factor'] is not None:
            scores = np.where(factors >= np.float32(settings['least_factor']), scores, 0)
        if settings['factor'] in ('before', 'root'):
            scores = scores * factors
        return np.sqrt(scores) if settings['factor'] == 'root' else scores

    def _boxes(
        self, level: int, maps: np.ndarray, place: np.ndarray, prior: np.ndarray
    ) -> np.ndarray:
        """Boxes (N, 4) of priors at places, both (N,)."""
        about, base = self._settings['levels'][level], self._priors[level]
        y, x = np.divmod(place, maps.shape[-1])
        strides = np.float32(about['strides'])
        priors = base[prior] + np.tile(np.stack([x, y], axis=1).astype(np.float32) * strides, 2)
        numbers = maps.reshape(len(base), -1, maps.shape[-2] * maps.shape[-1])[prior, :, place]
        scale = np.float32(about['scale'])
        return _decoded(priors, numbers, self._settings['coding'], scale, strides)


def _decoded(
    priors: np.ndarray, numbers: np.ndarray, coding: Settings, scale: np.float32,
    strides: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Boxes (N, 4) of priors (N, 4) and their box numbers (N, E), not clipped."""
    kind = coding['kind']
    centre = (priors[:, :2] + priors[:, 2:]) * np.float32(0.5)
    size = priors[:, 2:] - priors[:, :2]
    if kind == 'deltas':
        return decode(
            priors, numbers, coding['means'], coding['stds'],
            most_log_ratio=coding['most_log_ratio'], most_shift=coding['most_shift'],
        )  # fmt: skip
    if kind == 'cells':
        centre = centre + (_sigmoid(numbers[:, :2]) - np.float32(0.5)) * strides
        half = size * np.float32(0.5) * np.exp(numbers[:, 2:])
        return np.concatenate([centre - half, centre + half], axis=1)
    if kind == 'corners':
        corners = numbers * scale
        return corners + np.tile(centre, 2) if coding['relative'] else corners
    if coding['bins']:
        bins = coding['bins'] + 1
        shares = softmax(numbers.reshape(-1, bins))
        numbers = (shares @ np.arange(bins, dtype=np.float32)).reshape(-1, 4)
    elif coding['exponential']:
        numbers = np.exp(numbers)
    distances = numbers[:, coding['order']] * scale
    if coding['of_size']:
        distances = distances * np.tile(size, 2)
    return np.concatenate([centre - distances[:, :2], centre + distances[:, 2:]], axis=1)


def _sigmoid(numbers: np.ndarray) -> np.ndarray:
    # of large negative numbers the exponential is infinite, and the result zero
    with np.errstate(over='ignore'):
        return 1 / (1 + np.exp(-numbers))
