"""What happens to an image before it is a network's input, as ``deploy.json`` has it.

``resize`` of ``deploy.json`` is one of

- ``{"rule": "fit", "long": L, "short": S}``: with ``f = min(L / longer, S / shorter)`` of the sides
  of the image, each becomes ``int(side * f + 0.5)``. Boxes are divided by new width / old width
  and new height / old height.
- ``{"rule": "exact", "width": W, "height": H}``: to this size, else the same.
- ``{"rule": "crop", "short": S, "crop": C}``: the shorter side to S, by Pillow's antialiased
  bilinear interpolation, then the central square of C pixels.
- ``{"rule": "keep"}``: its size stays.
- null: the image is used as it is.

``fit`` and ``exact`` have an ``interpolation``: ``bilinear``, which older exports mean that have
none, or ``bilinear_exact``, which gives the same pixels on every processor. Both are OpenCV's.
All but ``crop`` may have a ``pad``: the image is then filled up at the right and at the bottom with
``values``, three of blue, green and red, to ``width`` and ``height``, or with ``square`` to a
square, then with ``divisor`` to a multiple of it.
"""
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from .errors import DataError
from .packages import require

INTERPOLATIONS = {'bilinear': cv2.INTER_LINEAR, 'bilinear_exact': cv2.INTER_LINEAR_EXACT}


def resized_size(width: int, height: int, rule: Mapping[str, Any] | None) -> tuple[int, int]:
    """Width and height of an image that a rule but ``crop`` has resized, without its padding."""
    if rule is None or rule['rule'] == 'keep':
        return width, height
    if rule['rule'] == 'exact':
        return rule['width'], rule['height']
    factor = min(rule['long'] / max(height, width), rule['short'] / min(height, width))
    return int(width * factor + 0.5), int(height * factor + 0.5)


def resize_image(image: np.ndarray, rule: Mapping[str, Any] | None) -> np.ndarray:
    """An image (H, W, 3) of uint8, blue, green, red, as the rule has it.

    Raises:
        DataError: nothing would be left of its shorter side.
    """
    if rule is None:
        return image
    if rule['rule'] == 'crop':
        return _crop(image, rule['short'], rule['crop'])
    height, width = image.shape[:2]
    size = resized_size(width, height, rule)
    if not all(size):
        raise DataError(
            f'an image of {width}x{height} pixels is too narrow: resized it has '
            f'{size[0]}x{size[1]}.'
        )
    if rule['rule'] != 'keep':
        how = INTERPOLATIONS[rule.get('interpolation', 'bilinear')]
        image = cv2.resize(image, size, interpolation=how)
    return _padded(image, rule['pad']) if rule.get('pad') else image


def input_size(
    rule: Mapping[str, Any] | None, image_size: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Height and width of what the network gets, of images of one size; None if it is not known.

    Args:
        rule: as of :func:`resize_image`.
        image_size: height and width of the images; None if they differ.
    """
    name = rule and rule['rule']
    if name == 'crop':
        return rule['crop'], rule['crop']
    if name == 'exact':
        # whatever their size is
        image_size = image_size or (1, 1)
    if image_size is None:
        return None
    width, height = resized_size(*image_size[::-1], rule)
    return _padded_size(height, width, rule and rule.get('pad') or {})


def _padded_size(height: int, width: int, pad: Mapping[str, Any]) -> tuple[int, int]:
    wanted = np.array([pad.get('height') or height, pad.get('width') or width])
    if pad.get('square'):
        wanted[:] = max(height, width)
    divisor = pad.get('divisor') or 1
    return tuple(np.maximum(-(-wanted // divisor) * divisor, (height, width)).tolist())


def _padded(image: np.ndarray, pad: Mapping[str, Any]) -> np.ndarray:
    height, width = image.shape[:2]
    wanted = _padded_size(height, width, pad)
    bottom, right = wanted[0] - height, wanted[1] - width
    return cv2.copyMakeBorder(
        image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=pad['values']
    )


def _crop(image: np.ndarray, short: int, crop: int) -> np.ndarray:
    pillow = require('PIL.Image', 'pillow', 'the extra pillow of shufflenet_runtime')
    height, width = image.shape[:2]
    long = int(short * max(height, width) / min(height, width))
    size = (short, long) if width <= height else (long, short)
    resized = pillow.fromarray(image)
    if resized.size != size:
        resized = resized.resize(size, pillow.Resampling.BILINEAR)
    left, top = (round((side - crop) / 2) for side in size)
    return np.asarray(resized.crop((left, top, left + crop, top + crop)))
