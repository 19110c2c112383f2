"""Exported detectors on images."""
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ConfigError, EngineError
from .predictor import Image, Predictor
from .resizing import resized_size
from .sessions import Outputs

_OUTPUTS = ('boxes', 'scores', 'labels')


@dataclass(frozen=True)
class Detections:
    """What was found in an image, best first.

    Attributes:
        boxes: (N, 4) of float32, x1, y1, x2, y2 in pixels of the image.
        scores: (N,) of float32, between 0 and 1.
        labels: (N,) of int64, numbers of the classes.
        names: N names of the classes.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[str, float, np.ndarray]]:
        """Name, score and box of each."""
        return zip(self.names, self.scores.tolist(), self.boxes, strict=True)

    def as_json(self) -> dict[str, Any]:
        """For a JSON file; boxes are rounded to a hundredth of a pixel, scores to 5 digits."""
        return dict(
            detections=[
                dict(label=name, score=round(score, 5), box=[round(x, 2) for x in box.tolist()])
                for name, score, box in self
            ]
        )


class Detector(Predictor):
    """An exported detector: ``Detector('exported')(image)`` gives :class:`Detections`.

    Args:
        path: the exported folder.
        engine: name of the engine; by default the first that is installed, of those that the
            detector was exported for.
        threads: of one inference; 0 to share all cores among the workers.
        workers: images that :meth:`map` works on at the same time.
        score_threshold: least score of a detection; by default that of the export, which it cannot
            be below.
        image_size: as of :class:`.predictor.Predictor`.

    Raises:
        DataError: there is no exported detector, or it is damaged.
        ConfigError: it is no detector, there is none for this engine, or ``score_threshold`` is
            lower than that of the export.
        EngineError: the engine is not installed, or cannot load the detector.
    """

    kind = 'detector'

    def __init__(
        self,
        path: str | Path,
        engine: str | None = None,
        threads: int = 0,
        workers: int = 1,
        score_threshold: float | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(path, engine, threads, workers, image_size)
        exported = self._network.about['thresholds']['score']
        self._threshold = exported if score_threshold is None else score_threshold
        if not exported <= self._threshold <= 1:
            raise ConfigError(
                f'score_threshold={score_threshold} must lie between {exported}, below which the '
                f'exported detector drops everything, and 1. For a lower one export it with '
                f'--cfg-options model.test_cfg.rcnn.score_thr={score_threshold} (of a one-stage '
                f'detector without rcnn).'
            )

    def __call__(self, image: Image) -> Detections:
        """Detect.

        Args:
            image: (H, W, 3) of uint8, blue, green, red, as ``cv2.imread`` gives it, or the path of
                an image file.

        Raises:
            DataError: it is no image, or cannot be read.
            EngineError: the engine cannot run the detector on it.
        """
        pixels, resized = self._input(image)
        found = self._network.run(resized)
        self._check(found)
        keep = found['scores'] >= self._threshold
        height, width = pixels.shape[:2]
        new_width, new_height = resized_size(width, height, self._network.about['resize'])
        scale = np.float32([new_width / width, new_height / height])
        labels = found['labels'][keep]
        return Detections(
            boxes=found['boxes'][keep] / np.tile(scale, 2),
            scores=found['scores'][keep],
            labels=labels,
            names=tuple(map(self._name, labels.tolist())),
        )

    def _check(self, found: Outputs) -> None:
        """Refuse what are no detections: the network may be a stranger's."""
        shapes = {name: found[name].shape for name in _OUTPUTS if name in found}
        count = shapes.get('scores', (0,))[:1]
        expected = dict(boxes=(*count, 4), scores=count, labels=count)
        if shapes != expected or found['labels'].dtype.kind not in 'iu':
            raise EngineError(f'{self._network.about["name"]} is no detector: it gives {shapes}.')
        known = len(self.labels) if self.labels is not None else None
        if count[0] and not (
            found['labels'].min() >= 0
            and (known is None or found['labels'].max() < known)
            and np.isfinite(found['boxes']).all()
        ):
            raise EngineError(
                f'{self._network.about["name"]} gives boxes or labels that cannot be: labels '
                f'{found["labels"].min()} to {found["labels"].max()} of {known} classes.'
            )
