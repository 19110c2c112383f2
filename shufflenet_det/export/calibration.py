"""The images on which the range of each value of an int8 network is found."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ..common.errors import DataError
from .dataset_pictures import from_data_set, spread
from .networks import Exportable
from .pictures import from_files

LEAST, MOST = 100, 300
"""Numbers of images: of more, as many are taken, evenly spaced."""
# of the validation set, to see what kind of images the network is for
_LOOKED_AT = 20
_MOSTLY = 0.5


def calibration_images(
    cfg: Config,
    source: Exportable,
    resize: Mapping[str, Any] | None,
    paths: Sequence[str | Path] = (),
) -> list[np.ndarray]:
    """Inputs (1, 3, H, W) of uint8 of a network, of real images.

    Args:
        cfg: its config, whose training images are taken if no others are named.
        source: the network.
        resize: its resize rule.
        paths: images and folders of images.

    Raises:
        DataError: there are too few, or they are of another kind than the network is for.
    """
    where = ', '.join(map(str, paths)) or 'the training set of the config'
    if paths:
        found = [p.images for p in from_files(paths, resize, source.description['channels'])]
    else:
        found = [p.images for p in from_data_set(cfg, 'train', source, MOST)]
    if len(found) < LEAST:
        raise DataError(
            f'{where} has {len(found)} images to calibrate int8 with, and at least {LEAST} are '
            f'needed, such as the network will see: name a folder of {LEAST} to {MOST} with '
            f'--calibrate.'
        )
    chosen = [found[i] for i in spread(len(found), MOST)]
    if paths:
        usual = [p.images for p in from_data_set(cfg, 'val', source, _LOOKED_AT)]
        _check_kind(where, chosen, usual)
    return chosen


def _check_kind(where: str, images: Sequence[np.ndarray], usual: Sequence[np.ndarray]) -> None:
    shares = [np.mean([_is_grey(image) for image in some]) for some in (images, usual)]
    grey, expected = (share > _MOSTLY for share in shares)
    if grey != expected:
        kinds = ('grey', 'in colour') if grey else ('in colour', 'grey')
        raise DataError(
            f'the images of {where} are {kinds[0]} ({shares[0]:.0%} of {len(images)} are grey), '
            f'and those of the validation set are {kinds[1]}: calibrate int8 with such images as '
            f'the network is for.'
        )


def _is_grey(image: np.ndarray) -> bool:
    first, *others = image[0].astype(np.int16)
    # JPEG's colours are off by some levels even where there is none
    return all(np.abs(first - other).mean() < 1 for other in others)
