"""What happens to an image before it is a network's input, as ``deploy.json`` has it.

``resize`` of ``deploy.json`` is one of

- ``{"rule": "fit", "long": L, "short": S}``: with ``f = min(L / longer, S / shorter)`` of the sides
  of the image, each becomes ``int(side * f + 0.5)``, by OpenCV's bilinear interpolation. Boxes are
  divided by new width / old width and new height / old height.
- ``{"rule": "exact", "width": W, "height": H}``: to this size, else the same.
- ``{"rule": "crop", "short": S, "crop": C}``: the shorter side to S, by Pillow's antialiased
  bilinear interpolation, then the central square of C pixels.
- null: the image is used as it is.
"""
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from .errors import DataError
from .packages import require


def resize_image(image: np.ndarray, rule: Mapping[str, Any] | None) -> np.ndarray:
    """An image (H, W, 3) of uint8 as the rule has it, in the same order of channels.

    Raises:
        DataError: nothing would be left of its shorter side.
    """
    if rule is None:
        return image
    if rule['rule'] == 'crop':
        return _crop(image, rule['short'], rule['crop'])
    height, width = image.shape[:2]
    new_width, new_height = rule.get('width'), rule.get('height')
    if rule['rule'] == 'fit':
        long, short = max(height, width), min(height, width)
        factor = min(rule['long'] / long, rule['short'] / short)
        new_width, new_height = int(width * factor + 0.5), int(height * factor + 0.5)
    if not (new_width and new_height):
        raise DataError(
            f'an image of {width}x{height} pixels is too narrow: resized it has '
            f'{new_width}x{new_height}.'
        )
    return cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)


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
