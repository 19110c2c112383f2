"""Images a second and core: our input pipeline against plain Pillow and torchvision, in one run.

All sides read the same files in one process and one thread and deliver normalised batches of
float32. They take turns, and time is that of the processor, so that a busy machine slows all of
them alike; ratios are of neighbouring turns.
"""
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.optim import build_optim_wrapper
from PIL import Image
from torch.utils.data import DataLoader, Subset
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
from .timing import RANGE, Call, speedup, spread, take_turns

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
    paths = [Path(ours[i]['paths']) for i in range(len(ours))]
    sides = {
        'decoding': {
            PLAIN: lambda: [np.asarray(Image.open(path).convert('RGB')) for path in paths],
            OURS: lambda: [decode_rgb(path.read_bytes(), str(path)) for path in paths],
        }
    }
    for task, (plain, transforms) in TASKS.items():
        files = ImageFolder(str(folder), v1.Compose(plain))
        sides[task] = {
            PLAIN: partial(deque, DataLoader(Subset(files, range(len(paths))), BATCH), maxlen=0),
            OURS: _reader(
                ImageFolderDataset(folder, pipeline=transforms, indices=len(paths)),
                BATCH,
                ClassifierPreprocessor(),
            ),
        }
    kilobytes = round(sum(path.stat().st_size for path in paths) / len(paths) / 1000, 1)
    table, about = _compare(sides, len(paths), rounds, f' of {kilobytes:.0f} KB on average')
    about['versions'] |= {'opencv': cv2.__version__, 'pillow': Image.__version__}
    return table, about | dict(kilobytes=kilobytes)


def measure_config(cfg: Config, images: int, rounds: int) -> tuple[Table, dict]:
    """Images a second of a config's training data, decoded each time and kept decoded, and of the
    training steps of its network, which they must not hold up.

    Images are used in whole batches; the rest is as in :func:`measure_input`.

    Raises:
        ConfigError: the data set has no ``cache``, or a batch is larger than ``images``.
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
        readers[side] = _reader(dataset, loader.batch_size, normalise)
    network = {'training step': partial(_train, cfg, next(iter(DataLoader(dataset, count))))}
    return _compare(dict(input=readers, network=network), count, rounds)


def reads_boxes(cfg: Config) -> bool:
    """Whether the training data of a config are those of a detector."""
    return cfg.train_dataloader.dataset.get('type') == 'CheckedCocoDataset'


def measure_detection(cfg: Config, images: int, rounds: int) -> tuple[Table, dict]:
    """Images a second of a detector's training data, by MMDetection's data set and by ours.

    Both run the pipeline of the config, from the file to the packed sample, in the same order and
    with the same random numbers. The rest is as in :func:`measure_input`.

    Raises:
        DataError: the images or their annotations are not there.
    """
    dataset = {**cfg.train_dataloader.dataset, 'indices': images}
    ours = DATASETS.build(dataset)
    plain = DATASETS.build({**dataset, 'type': 'CocoDataset'})
    sides = {'MMDetection': partial(_read, plain), OURS: partial(_read, ours)}
    return _compare({'training': sides}, len(ours), rounds)


def _read(dataset: BaseDataset) -> None:
    np.random.seed(0)
    for index in range(len(dataset)):
        dataset[index]


def _train(cfg: Config, images: dict) -> None:
    """Train a new network on images that are in memory, a batch at a time."""
    model = MODELS.build(cfg.model).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    size = cfg.train_dataloader.batch_size
    for inputs, labels in zip(
        images['inputs'].split(size), images['labels'].split(size), strict=True
    ):
        model.train_step(dict(inputs=inputs, labels=labels), optimizer)


def _reader(dataset: ImageFolderDataset, batch: int, normalise: Callable) -> Call:
    loader = DataLoader(dataset, batch, sampler=EpochSampler(dataset, seed=0))
    return lambda: deque(map(normalise, loader), maxlen=0)


def _compare(
    groups: dict[str, dict[str, Call]], images: int, rounds: int, which: str = ''
) -> tuple[Table, dict]:
    """Images a second of all sides, and their ratio to the first side of their group."""
    rows = []
    with ExitStack() as stack:
        stack.enter_context(threads(1))
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        cv2.setNumThreads(1)
        for what, sides in groups.items():
            # the first call warms caches
            times = take_turns(sides, rounds, warmup=1, clock=time.process_time)
            base, *_ = times.values()
            for side, own in times.items():
                speeds = [images / seconds for seconds in own]
                rows.append(dict(what=what, side=side) | spread(speeds, percentiles=RANGE))
                if own is not base:
                    rows[-1] |= spread(speedup(own, base), 'ratio', RANGE)
    about = dict(images=images, rounds=rounds, machine=machine(), versions=versions())
    title = (
        f'Images a second and core: {images} images{which}, {rounds} rounds, '
        f'{about["machine"]["processor"]}'
    )
    return Table(title, COLUMNS, rows), about
