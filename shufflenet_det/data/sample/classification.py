"""The classification sample: pictures of one object each, in the layout of ImageNet."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from ...common.errors import ConfigError
from .camera import write_jpeg
from .folder import SPLITS, make_all, make_folder
from .shapes import CATEGORIES
from .views import SURFACES, render_view

# Raise it whenever the same seed gives other pictures than before.
CLASSIFICATION_VERSION = '1.0'
# In alphabetical order, in which readers of class folders number them.
CLASSIFICATION_CLASSES: tuple[str, ...] = tuple(
    sorted(f'{category.name}_{surface}' for category, surface in product(CATEGORIES, SURFACES))
)
_SMALLEST = 32


def _make_image(folder: Path, seed: int, split: str, size: int, number: int) -> None:
    """Renders and stores one picture; depends on its arguments alone, not on any other picture."""
    index, label = divmod(number, len(CLASSIFICATION_CLASSES))
    name = CLASSIFICATION_CLASSES[label]
    rng = np.random.default_rng(np.random.SeedSequence([seed, SPLITS.index(split), label, index]))
    picture = render_view(*name.split('_'), size, rng)
    path = folder / split / name / f'{name}_{index}.JPEG'
    write_jpeg(path, picture, quality=int(rng.integers(70, 96)))


def make_classification_sample(
    out: Path,
    *,
    seed: int = 0,
    train: int = 8000,
    val: int = 4000,
    size: int = 80,
    workers: int | None = None,
    force: bool = False,
) -> Path:
    """Makes the classification sample in the layout of ImageNet: `train/<class>/*.JPEG`, `val/...`.

    A class is a category of the detection sample with a surface, 32 in all, with equally many
    pictures each, to within one. A picture depends on the seed, the split, the class, its index in
    the class and the size only: the same bytes on the same versions of NumPy and OpenCV, whatever
    the number of workers and pictures. The data set appears under its name when it is complete, not
    before. Progress goes to stderr.

    Args:
        out: folder to make; its parents are made too. If it holds this very data set, it is kept.
        seed: seed of all randomness, not negative.
        train, val: number of pictures of the two splits, at least one a class.
        size: side of the pictures in pixels, 32 or more.
        workers: number of threads; as many as processors if None.
        force: replace an existing sample data set, complete or changed, but nothing else.

    Returns:
        The folder.

    Raises:
        ConfigError: for a negative seed, too few or too small pictures, or no worker.
        DataError: if the folder holds anything else, or cannot be written.
    """
    counts = {'train': train, 'val': val}
    if min(counts.values()) < len(CLASSIFICATION_CLASSES) or size < _SMALLEST:
        raise ConfigError(
            f'a split must have {len(CLASSIFICATION_CLASSES)} pictures or more, one a class, of '
            f'{_SMALLEST} pixels or more; got train {train}, val {val}, size {size}'
        )

    def fill(folder: Path, pool: Executor) -> None:
        for split, count in counts.items():
            for name in CLASSIFICATION_CLASSES:
                (folder / split / name).mkdir(parents=True)
            make = partial(_make_image, folder, seed, split, size)
            for _ in make_all(make, range(count), count, split, pool):
                pass

    wanted = {
        'kind': 'classification',
        'version': CLASSIFICATION_VERSION,
        'seed': seed,
        **counts,
        'size': size,
    }
    return make_folder(out, wanted, fill, workers=workers, force=force)
