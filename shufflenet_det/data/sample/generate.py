"""The detection sample: scenes and their annotations in the layout of COCO 2017."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import numpy as np

from .camera import write_jpeg
from .coco import dataset, scene_records
from .folder import SPLITS, make_all, make_folder
from .scenes import render_scene

# Raise it whenever the same seed gives other pictures or annotations than before.
GENERATOR_VERSION = '1.0'


def _image_id(split: str, index: int) -> int:
    # Gaps as in COCO, and no id in both splits.
    return 139 + 74 * index + 2 * (index % 5) + SPLITS.index(split)


def _make_image(folder: Path, seed: int, split: str, index: int) -> tuple[dict, list[dict]]:
    """Renders and stores one picture; depends on its arguments alone, not on any other picture."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, SPLITS.index(split), index]))
    # Fixed places instead of chance: however small a split is, it has the rare kinds of pictures.
    scene = render_scene(rng, grey=index % 40 == 1, empty=index % 25 == 2, crowd=index % 12 == 3)
    image, annotations = scene_records(scene, _image_id(split, index))
    write_jpeg(folder / f'{split}2017' / image['file_name'], scene.image, scene.quality)
    return image, annotations


def _make_split(folder: Path, seed: int, split: str, count: int, pool: Executor) -> None:
    (folder / f'{split}2017').mkdir()
    images, annotations = [], []
    make = partial(_make_image, folder, seed, split)
    for image, of_image in make_all(make, range(count), count, split, pool):
        images.append(image)
        annotations.extend(of_image)
    content = json.dumps(dataset(images, annotations, GENERATOR_VERSION))
    (folder / 'annotations' / f'instances_{split}2017.json').write_text(content, encoding='utf-8')


def make_sample(
    out: Path,
    *,
    seed: int = 0,
    train: int = 600,
    val: int = 150,
    workers: int | None = None,
    force: bool = False,
) -> Path:
    """Makes the sample data set in the layout of COCO 2017.

    The same seed and counts give the same bytes on the same versions of NumPy and OpenCV, whatever
    the number of workers. The data set appears under its name when it is complete, not before.
    Progress goes to stderr.

    Args:
        out: folder to make; its parents are made too. If it holds this very data set, it is kept.
        seed: seed of all randomness, not negative.
        train, val: number of pictures of the two splits, 1 or more; from 4 on, a split has all rare
            kinds of pictures (grey, without objects, with a crowd).
        workers: number of threads; as many as processors if None.
        force: replace an existing sample data set, complete or changed, but nothing else.

    Returns:
        The folder.

    Raises:
        ConfigError: for a negative seed, an empty split or no worker.
        DataError: if the folder holds anything else, or cannot be written.
    """
    counts = {'train': train, 'val': val}

    def fill(folder: Path, pool: Executor) -> None:
        (folder / 'annotations').mkdir()
        for split, count in counts.items():
            _make_split(folder, seed, split, count, pool)

    wanted = {'version': GENERATOR_VERSION, 'seed': seed, **counts}
    return make_folder(out, wanted, fill, workers=workers, force=force)
