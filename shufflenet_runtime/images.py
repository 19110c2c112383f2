"""Image files to pixels, or an error that names the file."""
from pathlib import Path

import cv2
import numpy as np

from .errors import DataError
from .jpeg import is_cut_off

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file, upright.

    Returns:
        (H, W, 3) of uint8, blue, green, red, as OpenCV and MMDetection have it.

    Raises:
        DataError: the file is missing, truncated or not an image.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f'cannot read image {path}: {error.strerror or error}.') from None
    # OpenCV fills the missing part of a JPEG with grey and goes on
    image = None
    if content and not is_cut_off(content):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(
            f'cannot read image {path}: it is truncated or not an image ({len(content)} bytes). '
            f'Replace the file, or leave it out.'
        )
    return image


def check_image(image: np.ndarray) -> None:
    """Refuse what is no image.

    Raises:
        DataError: it is not (H, W, 3) of uint8.
    """
    found = f'{type(image).__name__}'
    if isinstance(image, np.ndarray):
        found = f'an array of shape {image.shape} of {image.dtype}'
        if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size:
            return
    raise DataError(
        f'an image must be an array (height, width, 3) of uint8, blue, green, red, as cv2.imread '
        f'gives it; this is {found}.'
    )
