"""The pictures on which an exported network is compared with PyTorch."""
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from shufflenet_runtime.resizing import resize_image
from shufflenet_runtime.sources import open_sources

import numpy as np

from ..data.sample import render_scene

SHAPES = ('landscape', 'portrait', 'square')
# plain areas, on which a detector should find nothing
_PLAIN = (128, 0, 255)


@dataclass(frozen=True)
class ProbeImage:
    """A picture as a network gets it.

    Attributes:
        name: for reports.
        images: (N, 3, H, W) of uint8.
    """

    name: str
    images: np.ndarray

    def mirrored(self) -> 'ProbeImage':
        """A batch of the picture and its mirror image."""
        return ProbeImage(
            f'{self.name}, mirrored', np.concatenate([self.images, self.images[..., ::-1]])
        )


def as_input(image: np.ndarray, channels: str) -> np.ndarray:
    """A resized BGR image (H, W, 3) as input (1, 3, H, W) with channels ``'rgb'`` or ``'bgr'``."""
    ordered = image if channels == 'bgr' else image[..., ::-1]
    return np.ascontiguousarray(ordered.transpose(2, 0, 1)[None])


def rendered(shape: str, resize: Mapping[str, Any] | None, channels: str) -> Iterator[ProbeImage]:
    """Scenes of the package's sample without end, always the same ones.

    Args:
        shape: one of :data:`SHAPES`.
        resize: rule of the network (:mod:`shufflenet_runtime.resizing`).
        channels: order of the network's channels.
    """
    for seed in count():
        image = render_scene(np.random.default_rng([SHAPES.index(shape), seed])).image
        height, width = image.shape[:2]
        if (height > width) == (shape == 'landscape'):
            image = image.transpose(1, 0, 2)
        if shape == 'square':
            side = min(height, width)
            image = image[:side, :side]
        image = resize_image(np.ascontiguousarray(image[..., ::-1]), resize)
        yield ProbeImage(f'{shape} {image.shape[0]}x{image.shape[1]}', as_input(image, channels))


def plain(resize: Mapping[str, Any] | None, channels: str) -> Iterator[ProbeImage]:
    """Pictures of one colour."""
    for level in _PLAIN:
        image = resize_image(np.full((427, 640, 3), level, np.uint8), resize)
        yield ProbeImage(f'plain {image.shape[0]}x{image.shape[1]}', as_input(image, channels))


def from_files(
    paths: Sequence[str | Path], resize: Mapping[str, Any] | None, channels: str
) -> Iterator[ProbeImage]:
    """Pictures of files, and of all files in folders.

    Raises:
        DataError: a path does not exist, holds no image, or is one that cannot be read.
    """
    for source in open_sources(list(map(str, paths))):
        for frame in source.frames():
            image = resize_image(frame.read(), resize)
            name = f'{Path(frame.source).name} {image.shape[0]}x{image.shape[1]}'
            yield ProbeImage(name, as_input(image, channels))
