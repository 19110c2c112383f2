"""Exported classifiers on images."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import EngineError
from .predictor import Image, Predictor

_BEST = 5


@dataclass(frozen=True)
class Classification:
    """What an image shows.

    Attributes:
        probabilities: (C,) of float32, by number of the class.
        labels: numbers of the five most probable classes, best first.
        names: their names.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For a JSON file: the five most probable classes."""
        best = self.probabilities[self.labels].tolist()
        return dict(
            classes=[
                dict(label=name, probability=round(value, 5))
                for name, value in zip(self.names, best, strict=True)
            ]
        )


class Classifier(Predictor):
    """An exported classifier: ``Classifier('exported')(image)`` gives a :class:`Classification`.

    Arguments and errors are those of :class:`.Predictor`.
    """

    kind = 'classifier'
    upright = False

    def __call__(self, image: Image) -> Classification:
        """Classify an image, which is what :meth:`.Predictor.__call__` takes."""
        _, resized = self._input(image)
        found = self._network.run(resized).get('logits', np.empty(0))
        known = found.shape[-1] if self.labels is None else len(self.labels)
        if found.shape != (1, known) or not np.isfinite(found).all():
            raise EngineError(
                f'{self._network.about["name"]} is no classifier of {known} classes: it gives '
                f'{found.shape}, or what are no numbers.'
            )
        (logits,) = found
        powers = np.exp(logits - logits.max())
        labels = np.argsort(-logits, kind='stable')[:_BEST]
        return Classification(
            probabilities=powers / powers.sum(),
            labels=labels,
            names=tuple(map(self._name, labels.tolist())),
        )
