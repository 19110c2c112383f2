"""Two-stage detectors whose engine runs networks alone: what is between these, in numpy.

Such a detector is two networks, or more in a cascade. The first makes the levels of the neck, and
the logits and deltas of the RPN, from an image; each of the others makes class logits and deltas
from the features of RoIs. The rest is here, with settings that come as JSON:

- ``padding``: ``divisor`` of height and width, and the ``values`` of the three channels.
- ``proposals``: for each level of the RPN ``strides`` (x, y) and base ``anchors`` (A, 4) in pixels;
  ``means`` and ``stds`` of the deltas; ``nms_pre``, most anchors of a level that are considered;
  ``iou_threshold``; ``max_per_img``, most proposals; ``min_size`` in pixels, or null.
- ``rois``: for each level that RoIs come from its ``scales``; ``height``, ``width``,
  ``sampling_ratio`` and ``aligned`` of RoIAlign; ``finest_scale``, below twice which the square
  root of the area of a RoI in pixels is for the finest level; ``rows``: whether the second network
  takes all RoIs at once as rows (P, C * height * width), or one (C, height, width) at a time.
- ``refinements``: of each network before the last that makes boxes for the next,
  ``class_agnostic_boxes``, ``means`` and ``stds``, as of ``detections``; none where it is missing.
- ``detections``: ``num_classes``; ``class_agnostic_boxes``, whether there is one box for all of
  them; ``means`` and ``stds`` of the deltas; ``score_threshold``; ``iou_threshold``;
  ``class_agnostic``, whether boxes suppress those of other classes; ``max_per_img``.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .boxes import class_nms, decode, detections, nms, pad, softmax, top_k
from .roi_align import RoIAlign
from .sessions import Outputs

Settings = Mapping[str, Any]


class Features(NamedTuple):
    """Results of the first network.

    Attributes:
        levels: features (C, H, W) that RoIs come from, finest first.
        logits: of the RPN, (A, H, W) of each of its levels.
        deltas: of the RPN, (A * 4, H, W) of each of its levels.
    """

    levels: Sequence[np.ndarray]
    logits: Sequence[np.ndarray]
    deltas: Sequence[np.ndarray]


class TwoStageDetector:
    """A detector of one image.

    Args:
        settings: as above.
        extract: the first network, of an image (3, H, W) of float32, padded.
        classify: the second network and those behind it, from the number of refinements that there
            have been and features of RoIs (P, C, h, w), P at least 1, to logits
            (P, num_classes + 1) and deltas (P, 4 or num_classes * 4).
    """

    def __init__(
        self,
        settings: Settings,
        extract: Callable[[np.ndarray], Features],
        classify: Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self._padding = settings['padding']
        self._proposals, self._detections = settings['proposals'], settings['detections']
        self._anchors = [np.float32(level) for level in self._proposals['anchors']]
        self._refinements = settings.get('refinements', ())
        rois = settings['rois']
        self._finest_scale = rois['finest_scale']
        self._pools = [
            RoIAlign(rois['height'], rois['width'], scale, rois['sampling_ratio'], rois['aligned'])
            for scale in rois['scales']
        ]
        self._extract, self._classify = extract, classify

    def __call__(self, images: np.ndarray) -> Outputs:
        """Detect.

        Args:
            images: one image (1, 3, H, W) of uint8.

        Returns:
            ``boxes`` (N, 4) of float32 in pixels of the image, ``scores`` (N,) of float32 and
            ``labels`` (N,) of int64, best first.
        """
        (image,) = images
        height, width = image.shape[1:]
        features = self._extract(pad(image, self._padding))
        rois = self._propose(features, width, height)
        if not len(rois):
            return detections(np.empty((0, 4)), np.empty(0), np.empty(0))
        own, deltas = self._classify(0, self._pool(features.levels, rois))
        logits = own
        for number, coding in enumerate(self._refinements, 1):
            rois = _refine(rois, own, deltas, coding, width, height)
            own, deltas = self._classify(number, self._pool(features.levels, rois))
            logits = logits + own
        logits = logits / np.float32(len(self._refinements) + 1)
        return self._detect(rois, logits, deltas, width, height)

    def _propose(self, features: Features, width: int, height: int) -> np.ndarray:
        """Proposals (P, 4)."""
        settings, boxes, scores = self._proposals, [], []
        for level, (logits, deltas) in enumerate(
            zip(features.logits, features.deltas, strict=True)
        ):
            best, anchors, own = self._best(level, logits, deltas)
            found = decode(anchors, own, settings['means'], settings['stds'], width, height)
            if settings['min_size'] is not None:
                large = (found[:, 2:] - found[:, :2] > settings['min_size']).all(axis=1)
                found, best = found[large], best[large]
            # levels do not suppress each other
            keep = nms(found, best, settings['iou_threshold'], settings['max_per_img'])
            boxes.append(found[keep])
            scores.append(best[keep])
        return np.concatenate(boxes)[top_k(np.concatenate(scores), settings['max_per_img'])]

    def _best(
        self, level: int, logits: np.ndarray, deltas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (K,), anchors (K, 4) and deltas (K, 4) of the best anchors of a level."""
        base = self._anchors[level]
        width = logits.shape[2]
        # by place and then by anchor, as MMDetection has them
        logits = logits.transpose(1, 2, 0).ravel()
        best = top_k(logits, self._proposals['nms_pre'])
        place, shape = np.divmod(best, len(base))
        y, x = np.divmod(place, width)
        stride_x, stride_y = self._proposals['strides'][level]
        corner = np.stack([x * stride_x, y * stride_y], axis=1).astype(np.float32)
        own = deltas.reshape(len(base), 4, -1)[shape, :, place]
        return logits[best], base[shape] + np.tile(corner, 2), own

    def _pool(self, levels: Sequence[np.ndarray], boxes: np.ndarray) -> np.ndarray:
        """Features (P, C, h, w) of RoIs (P, 4)."""
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        scale = np.sqrt(width * height) / np.float32(self._finest_scale) + np.float32(1e-6)
        numbers = np.searchsorted(2.0 ** np.arange(1, len(self._pools)), scale, side='right')
        bins = self._pools[0].height, self._pools[0].width
        pooled = np.empty((len(boxes), len(levels[0]), *bins), np.float32)
        for number, (pool, level) in enumerate(zip(self._pools, levels, strict=True)):
            chosen = np.flatnonzero(numbers == number)
            if len(chosen):
                pixels = np.ascontiguousarray(level.transpose(1, 2, 0))
                pool(pixels, boxes[chosen], pooled, chosen)
        return pooled

    def _detect(
        self, rois: np.ndarray, logits: np.ndarray, deltas: np.ndarray, width: int, height: int
    ) -> Outputs:
        settings = self._detections
        scores = softmax(logits)[:, : settings['num_classes']].ravel()
        candidates = np.flatnonzero(scores > np.float32(settings['score_threshold']))
        roi, labels = np.divmod(candidates, settings['num_classes'])
        row = roi if settings['class_agnostic_boxes'] else candidates
        scores, deltas = scores[candidates], deltas.reshape(-1, 4)[row]
        boxes = decode(rois[roi], deltas, settings['means'], settings['stds'], width, height)
        keep = class_nms(
            boxes, scores, None if settings['class_agnostic'] else labels,
            settings['iou_threshold'], settings['max_per_img'],
        )  # fmt: skip
        return detections(boxes[keep], scores[keep], labels[keep])


def _refine(
    rois: np.ndarray, logits: np.ndarray, deltas: np.ndarray, coding: Settings, width: int,
    height: int,
) -> np.ndarray:  # fmt: skip
    """Boxes (P, 4) for the next network: of the best class of each, where there are several."""
    if not coding['class_agnostic_boxes']:
        best = logits[:, :-1].argmax(axis=1)
        deltas = deltas.reshape(len(rois), -1, 4)[np.arange(len(rois)), best]
    return decode(rois, deltas, coding['means'], coding['stds'], width, height)
