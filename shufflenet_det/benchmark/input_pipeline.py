"""Images a second and core: our input pipeline against plain Pillow and torchvision, in one run.

All sides read the same files in one process and one thread and deliver normalised batches of
float32. They take turns, and time is that of the processor, so that a busy machine slows all of
them alike; ratios are of neighbouring turns.
"""
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms as v1
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ..common.errors import ConfigError
from ..common.machine import machine
from ..common.tables import Column, Table
from ..data import (
    EpochSampler,
    FastRandomResizedCrop,
    ImageFolderDataset,
    ResizeCenterCrop,
    decode_rgb,
)
from ..data.sample import render_scene
from ..evaluation.report import versions
from ..models import ClassifierPreprocessor
from ..models.classifier import IMAGENET_MEAN, IMAGENET_STD
from .machine import threads

BATCH = 32
HEIGHT, WIDTH = 375, 500
PLAIN, OURS = 'Pillow and torchvision', 'shufflenet_det'
_NORMALISED = [
    v1.ToTensor(),
    v1.Normalize([m / 255 for m in IMAGENET_MEAN], [s / 255 for s in IMAGENET_STD]),
]
# by task: the transforms of torchvision's ImageNet example, and ours for the same
TASKS = {
    'training': (
        [v1.RandomResizedCrop(224), v1.RandomHorizontalFlip(), *_NORMALISED],
        [FastRandomResizedCrop(224), v2.RandomHorizontalFlip()],
    ),
    'evaluation': (
        [v1.Resize(256), v1.CenterCrop(224), *_NORMALISED],
        [ResizeCenterCrop(256, 224)],
    ),
}
COLUMNS = (
    Column('what', ''),
    Column('side', 'by'),
    Column('median', 'images/s', '.0f'),
    Column('low', 'lowest', '.0f'),
    Column('high', 'highest', '.0f'),
    Column('ratio', 'ratio', '.2f'),
    Column('ratio_low', 'lowest', '.2f'),
    Column('ratio_high', 'highest', '.2f'),
)


def write_photos(folder: Path, count: int) -> None:
    """Rendered JPEGs of 500 x 375 pixels in ``folder/scene/``.

    With grain and quality 95 their size is close to the 110 KB of ImageNet's average image; the
    size matters, because it takes most of the decoder's time.
    """
    (folder / 'scene').mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        pixels = cv2.resize(render_scene(rng).image, (WIDTH, HEIGHT))
        grainy = pixels + rng.normal(0, 10, (HEIGHT, WIDTH, 1))
        picture = Image.fromarray(grainy.clip(0, 255).astype(np.uint8))
        picture.save(folder / 'scene' / f'{index:04d}.jpg', quality=95)


def measure_input(folder: Path, images: int, rounds: int) -> tuple[Table, dict]:
    """Compare decoders and whole pipelines on the first images of an ImageFolder.

    Args:
        folder: a folder with one folder a class.
        images: how many images to use, at most.
        rounds: turns of each side.

    Returns:
        The table, and a description of machine and images. A row has images a second and core,
        median and range over the rounds, and the ratio to the plain side likewise.

    Raises:
        DataError: the folder has no images.
    """
    ours = ImageFolderDataset(folder, indices=images)
    paths = [ours[i]['paths'] for i in range(len(ours))]
    contents = [Path(path).read_bytes() for path in paths]
    sides = {
        'decoding': {
            PLAIN: lambda: [np.asarray(Image.open(p).convert('RGB')) for p in paths],
            OURS: lambda: [decode_rgb(Path(p).read_bytes(), p) for p in paths],
        }
    }
    for task, (plain, transforms) in TASKS.items():
        sides[task] = {
            PLAIN: _reader_of_plain(folder, plain, len(paths)),
            OURS: _reader_of_ours(folder, transforms, len(paths)),
        }
    rows = []
    with _one_thread():
        for what, readers in sides.items():
            rows += [dict(what=what, **row) for row in _compare(readers, len(paths), rounds)]
    about = dict(
        images=len(paths),
        kilobytes=round(sum(map(len, contents)) / len(paths) / 1000, 1),
        rounds=rounds,
        machine=machine(),
        versions=versions() | {'opencv': cv2.__version__, 'pillow': Image.__version__},
    )
    title = (
        f'Images a second and core: {about["images"]} images of {about["kilobytes"]:.0f} KB on '
        f'average, {rounds} rounds, {about["machine"]["processor"]}'
    )
    return Table(title, COLUMNS, rows), about


def measure_config(cfg: Config, images: int, rounds: int) -> tuple[Table, dict]:
    """Images a second of a config's training data, decoded each time and kept decoded, and of the
    training steps of its network, which they must not hold up.

    Args:
        cfg: config whose training data set has a ``cache``.
        images: how many images to use, in whole batches.
        rounds: turns of each side.

    Returns:
        As :func:`measure_input`.

    Raises:
        ConfigError: the data set has no cache, or a batch is larger than ``images``.
    """
    loader = cfg.train_dataloader
    batches = images // loader.batch_size
    if not loader.dataset.get('cache') or not batches:
        raise ConfigError(
            f'{cfg.filename}: its training data have no `cache`, or {images} images are less than '
            f'a batch of {loader.batch_size}.'
        )
    normalise = MODELS.build(cfg.model.data_preprocessor)
    count = batches * loader.batch_size
    readers = {}
    for side, cache in (('decoded each time', None), ('kept decoded', loader.dataset.cache)):
        dataset = DATASETS.build({**loader.dataset, 'cache': cache, 'indices': count})
        readers[side] = partial(_read_loader, dataset, loader.batch_size, normalise)
    network = {'training step': partial(_train, cfg, next(iter(DataLoader(dataset, count))))}
    with _one_thread():
        rows = [dict(what='input', **row) for row in _compare(readers, count, rounds)]
        rows += [dict(what='network', **row) for row in _compare(network, count, rounds)]
    about = dict(images=count, rounds=rounds, machine=machine(), versions=versions())
    title = f'Images a second and core: {count} images, {rounds} rounds, ' + (
        about['machine']['processor']
    )
    return Table(title, COLUMNS, rows), about


def _train(cfg: Config, images: dict) -> None:
    """Train a new network on images that are in memory, a batch at a time."""
    model = MODELS.build(cfg.model).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    size = cfg.train_dataloader.batch_size
    for inputs, labels in zip(
        images['inputs'].split(size), images['labels'].split(size), strict=True
    ):
        model.train_step(dict(inputs=inputs, labels=labels), optimizer)


def _read_loader(dataset: ImageFolderDataset, batch: int, normalise: Callable) -> None:
    sampler = EpochSampler(dataset, seed=0)
    _exhaust(map(normalise, DataLoader(dataset, batch_size=batch, sampler=sampler)))


def _reader_of_plain(folder: Path, transforms: list, images: int) -> Callable[[], None]:
    data = torch.utils.data.Subset(
        ImageFolder(str(folder), v1.Compose(transforms)), range(images)
    )
    return lambda: _exhaust(DataLoader(data, batch_size=BATCH))


def _reader_of_ours(folder: Path, transforms: list, images: int) -> Callable[[], None]:
    data = ImageFolderDataset(folder, pipeline=transforms, indices=images)
    sampler = EpochSampler(data, seed=0)
    normalise = ClassifierPreprocessor()
    return lambda: _exhaust(map(normalise, DataLoader(data, batch_size=BATCH, sampler=sampler)))


def _exhaust(batches) -> None:
    for _ in batches:
        pass


def _compare(readers: dict[str, Callable], images: int, rounds: int) -> Iterator[dict]:
    """Images a second of each side, and their ratio to the first side, round by round."""
    speeds = {side: [] for side in readers}
    for _ in range(rounds + 1):
        for side, read in readers.items():
            start = time.process_time()
            read()
            speeds[side].append(images / (time.process_time() - start))
    # the first round warms caches
    speeds = {side: values[1:] for side, values in speeds.items()}
    base = next(iter(speeds.values()))
    for side, values in speeds.items():
        row = dict(side=side, median=statistics.median(values), low=min(values), high=max(values))
        if values is not base:
            ratios = [value / other for value, other in zip(values, base, strict=True)]
            row |= dict(
                ratio=statistics.median(ratios), ratio_low=min(ratios), ratio_high=max(ratios)
            )
        yield row


@contextmanager
def _one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threads(1):
            yield
    finally:
        cv2.setNumThreads(before)
