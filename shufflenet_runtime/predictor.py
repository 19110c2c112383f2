"""What detectors and classifiers have in common: from an image to the input of a network."""
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .description import read_description
from .errors import ConfigError
from .images import check_image, read_image
from .network import open_network
from .parallel import in_order
from .resizing import input_size, resize_image

Image = np.ndarray | str | Path


class Predictor:
    """An exported network that takes images as they come.

    Args:
        path: the exported folder.
        engine: name of the engine; by default the first that is installed, of those that the
            network was exported for.
        threads: of one inference; 0 to share all cores among the workers.
        workers: images that :meth:`map` works on at the same time.
        image_size: height and width of most images, such as a camera's, for which the network is
            made faster; those of other sizes work as well.

    Attributes:
        labels: names of the classes, or None where the checkpoint did not tell them.
        engine: name of the engine.
        precision: in which numbers it computes, ``'fp32'``, ``'fp16'``, ``'bf16'`` or ``'int8'``.

    Raises:
        DataError: there is no exported network, or it is damaged.
        ConfigError: it is of another kind, or there is no network for this engine.
        EngineError: the engine is not installed, or cannot load the network.
    """

    kind: ClassVar[str]
    # whether an EXIF orientation counts, as in the data sets that such networks are trained on
    upright: ClassVar[bool] = True

    def __init__(
        self,
        path: str | Path,
        engine: str | None = None,
        threads: int = 0,
        workers: int = 1,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        if threads < 0 or workers < 1:
            raise ConfigError(f'threads={threads} must be 0 or more, workers={workers} 1 or more.')
        if image_size is not None and not (len(image_size) == 2 and min(image_size) >= 1):
            raise ConfigError(f'image_size={image_size} must be height and width, 1 or more.')
        size = image_size and input_size(read_description(path)['resize'], image_size)
        if size and not all(size):
            raise ConfigError(
                f'image_size={image_size} is too narrow: resized it is {size[0]}x{size[1]}.'
            )
        self._network = open_network(path, (self.kind,), engine, threads, workers, size)
        self.engine, self.precision = self._network.engine, self._network.precision
        self._workers = workers
        self.labels: list[str] | None = self._network.about['labels']

    def __call__(self, image: Image) -> Any:
        """Predict.

        Args:
            image: (H, W, 3) of uint8, blue, green, red, as ``cv2.imread`` gives it, or the path of
                an image file.

        Raises:
            DataError: it is no image, or cannot be read.
            EngineError: the engine cannot run the network on it.
        """
        raise NotImplementedError

    def map(self, images: Iterable[Image]) -> Iterator[Any]:
        """Predict for many images, ``workers`` at a time; results come in the order of images."""
        return in_order(self, images, self._workers)

    def _input(self, image: Image) -> tuple[np.ndarray, np.ndarray]:
        """The image as pixels, and resized as the network's input (1, 3, H, W)."""
        pixels = read_image(image, self.upright) if isinstance(image, str | Path) else image
        check_image(pixels)
        resized = resize_image(pixels, self._network.about['resize'])
        if self._network.about['input']['channels'] == 'rgb':
            resized = resized[..., ::-1]
        return pixels, np.ascontiguousarray(resized.transpose(2, 0, 1)[None])

    def _name(self, label: int) -> str:
        return str(label) if self.labels is None else self.labels[label]
