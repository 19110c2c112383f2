"""Pictures of the data sets of a config, as its network gets them."""
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from ..common.config import innermost_dataset
from ..common.errors import DataError
from .networks import Exportable
from .pictures import ProbeImage


def from_data_set(cfg: Config, split: str, source: Exportable, most: int) -> Iterator[ProbeImage]:
    """Some images of a data set, through the test pipeline.

    Args:
        cfg: config of the network.
        split: ``'train'`` or ``'val'``.
        source: the network.
        most: how many, evenly spaced.

    Raises:
        DataError: there is no such data set, or it cannot be read.
    """
    settings = dict(innermost_dataset(cfg.get(f'{split}_dataloader')))
    if not settings:
        raise DataError(
            f'the config has no {split}_dataloader, whose images are needed: name some with '
            f'--calibrate.'
        )
    # validation images come through the pipeline of the export, without a change by chance
    settings['pipeline'] = innermost_dataset(cfg.test_dataloader)['pipeline']
    # of a data set that is read, decoded images are no use
    settings.pop('cache', None)
    data: BaseDataset = DATASETS.build(settings)
    # MMDetection's pipelines load BGR, our data sets of images RGB
    loaded = 'rgb' if source.kind == 'classifier' else 'bgr'
    flips = source.description['channels'] != loaded
    for index in spread(len(data), most):
        sample = data[index]
        image = sample['inputs']
        height, width = image.shape[1:]
        about = sample.get('data_samples')
        name = Path(getattr(about, 'img_path', '') or f'image {index}').name
        yield ProbeImage(
            f'{name} {height}x{width}',
            np.ascontiguousarray((image.flip(0) if flips else image)[None].to(torch.uint8)),
        )


def validation_pictures(cfg: Config, source: Exportable, most: int) -> list[ProbeImage]:
    """Some images of a detector's validation set, none where this is not on the machine.

    A set that cannot be read is said, and no error: an export does not need it.
    """
    settings = innermost_dataset(cfg.get('val_dataloader'))
    annotations = settings.get('ann_file')
    if not annotations or not Path(settings.get('data_root') or '', annotations).is_file():
        return []
    try:
        return list(from_data_set(cfg, 'val', source, most))
    except DataError as error:
        print_log(f'not compared on the validation set: {error}', 'current', logging.WARNING)
        return []


def spread(count: int, most: int) -> Sequence[int]:
    """Indices of all of some things, or of ``most`` of them, evenly spaced."""
    return list(islice((i * count // min(count, most) for i in range(count)), most))
