"""Image files to pixels, or an error that names the file."""
import logging
from pathlib import Path

import cv2
import numpy as np

from .errors import DataError
from .jpeg import is_cut_off

SUFFIXES = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm'
)  # fmt: skip
"""Of files that are read, in any case."""
OTHER_SUFFIXES = (
    '.gif', '.heic', '.heif', '.avif', '.jp2', '.j2k', '.jxl', '.tga', '.ico', '.psd', '.svg',
    '.exr', '.raw', '.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2',
)  # fmt: skip
"""Of images that are not: OpenCV reads them nowhere, or not everywhere."""

_log = logging.getLogger('shufflenet_runtime')
_said: set[str] = set()


def read_image(path: str | Path, upright: bool = True) -> np.ndarray:
    """Read an image file.

    Args:
        path: of the file.
        upright: turn it as its EXIF orientation says, as MMDetection does. Data sets for
            classifiers ignore that, here as in torchvision.

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
        try:
            flag = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
        except cv2.error as error:
            raise DataError(f'cannot read image {path}: {reason_of(error)}.') from None
    if image is None:
        raise DataError(f'cannot read image {path}: {why_unreadable(path, content)}.')
    say_if_dark(image, content, path)
    return image


def reason_of(error: cv2.error) -> str:
    """What OpenCV says, without its version and the lines of its source."""
    # `error.err` is an attribute of the class: with threads it may be that of another error
    return str(error).rpartition('error: ')[2].strip().partition('\n')[0]


def why_unreadable(path: str | Path, content: bytes) -> str:
    """What may be wrong with a file that is not read, and the remedy."""
    suffix = Path(path).suffix.lower()
    if content and suffix in OTHER_SUFFIXES:
        return f'{suffix} is a format that is not read everywhere. Convert it to JPEG or PNG'
    return (
        f'it is truncated or not an image ({len(content)} bytes). Replace the file, or leave it out'
    )


def say_if_dark(image: np.ndarray, content: bytes, path: str | Path) -> None:
    """Say once in a process that an image is nearly black because it has 12 bits in 16.

    Of 16 bits the upper 8 are used, of which such an image, as cameras for science and medicine
    write it, fills the lower 4.

    Args:
        image: of uint8, as it was decoded.
        content: the file.
        path: its name.
    """
    sixteen = content[:8] == b'\x89PNG\r\n\x1a\n' and content[24:25] == b'\x10'
    may_be = sixteen or content[:4] in (b'II*\0', b'MM\0*') or content[:2] in (b'P5', b'P6')
    if not may_be or _said or image.max() >= 16:
        return
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16 or not 16 <= stored.max() < 4096:
        return
    _said.add(str(path))
    _log.warning(
        '%s has 16 bits a channel and no value above %d: it is read nearly black, as are all '
        'images like it, in training and afterwards. Multiply the values by 16, or store 8 bits.',
        str(path), stored.max(),
    )  # fmt: skip


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
