"""Bytes of an image file to RGB pixels, or an error that names the file."""
import errno
import logging
import os
import time
from io import BytesIO

from shufflenet_runtime.images import say_if_dark
from shufflenet_runtime.jpeg import END, read_header

import cv2
import numpy as np
import torch
from mmengine.fileio import get
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor

from ..common.errors import DataError

# OpenCV before 4.11 knows BGR only
_COLOR = getattr(cv2, 'IMREAD_COLOR_RGB', cv2.IMREAD_COLOR)
_REMEDY = 'Replace the file, or take it out of the data set.'


# of a network's disk that is gone for a while
_AWAY = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN}
# folders that were there; workers inherit those of their data set
_there: set[str] = set()


def read_image_file(path: str, backend_args: dict | None = None) -> bytes:
    """Content of an image file, by way of MMEngine's file backends.

    Where a whole folder is gone that was there before, as a share of a network can be for a while,
    it is waited for: ``SHUFFLENET_DATA_PATIENCE`` seconds, 300 by default.

    Raises:
        DataError: it is missing or cannot be read.
    """
    deadline = None
    while True:
        try:
            content = get(path, backend_args=backend_args)
            note_folder(os.path.dirname(path))
            return content
        except OSError as error:
            gone = _is_gone(path, error)
            now = time.monotonic()
            if deadline is None:
                patience = float(os.environ.get('SHUFFLENET_DATA_PATIENCE', 300))
                deadline = now + patience
                if gone and patience:
                    print_log(
                        f'{os.path.dirname(path)} is not there ({error.strerror or error}): '
                        f'waiting up to {patience:.0f} s for it', 'current', logging.WARNING
                    )  # fmt: skip
            if not gone or now >= deadline:
                raise DataError(
                    f'cannot read image {path}: {error.strerror or error}.'
                    + (' A training continues with --resume once it is back.' if gone else '')
                ) from None
        time.sleep(0.5)


def note_folder(folder: str) -> None:
    """Note that a folder of images is there."""
    _there.add(folder)


def _is_gone(path: str, error: OSError) -> bool:
    missing = error.errno == errno.ENOENT and not os.path.isdir(os.path.dirname(path))
    known = any(path.startswith(folder) for folder in _there if folder)
    return known and (missing or error.errno in _AWAY)


def decode_rgb(content: bytes, path: str) -> Tensor:
    """Pixels as ``PIL.Image.open(path).convert('RGB')`` gives them, but faster.

    The start of the content decides the format, not the name: ImageNet has a PNG named ``.JPEG``.
    As in torchvision's ``ImageFolder``, the EXIF orientation is ignored, transparency is dropped
    and a palette is resolved. OpenCV decodes whole JPEGs in colour or grey, to the same bits as
    Pillow, which does all others (OpenCV has other ideas of CMYK, and fills what is cut off).
    16-bit greyscale keeps its high byte, where Pillow would clip.

    Args:
        content: the file.
        path: its name, for errors.

    Returns:
        Tensor (3, H, W) of uint8, RGB; a view of memory in (H, W, 3) order, which torchvision
        resizes twice as fast as its own order.

    Raises:
        DataError: the bytes are empty, truncated, no image, or numbers without a range.
    """
    if not content:
        raise DataError(f'image {path} is empty (0 bytes). {_REMEDY}')
    pixels = _by_opencv(content) if _is_plain_jpeg(content) else None
    if pixels is None:
        try:
            with Image.open(BytesIO(content)) as image:
                pixels = _by_pillow(image)
            say_if_dark(pixels, content, path)
        # the decoders behind Pillow raise about any type of error on damaged files
        except Exception as error:
            unknown = isinstance(error, Image.UnidentifiedImageError)
            reason = 'it is not an image of a known format' if unknown else error
            raise DataError(
                f'cannot decode image {path} ({len(content)} bytes): {reason}. {_REMEDY}'
            ) from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _is_plain_jpeg(content: bytes) -> bool:
    """Whether this is a JPEG of one or three components with an end behind its pixels.

    Pillow's reader of headers would take longer than all else around the decoder.
    """
    header = read_header(content)
    if header is None:
        return False
    # not before the pixels, where the end of a thumbnail may be
    near_end = max(header.scan, len(content) - 1024)
    return header.components in (1, 3) and content.rfind(END, near_end) >= 0


def _by_opencv(content: bytes) -> np.ndarray | None:
    """Pixels (H, W, 3) of uint8, or None where OpenCV gives up."""
    data = np.frombuffer(content, np.uint8)
    pixels = cv2.imdecode(data, _COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is not None and _COLOR == cv2.IMREAD_COLOR:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return pixels


def _by_pillow(image: Image.Image) -> np.ndarray:
    """Pixels (H, W, 3) of uint8."""
    # Pillow before 11.3 opens a 16-bit PNG as mode I
    if image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG'):
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(high[..., None], 3, axis=2)
    if image.mode in ('I', 'F'):
        raise ValueError(f'pixels of mode {image.mode} have no known range; store 8 bits a channel')
    return np.array(image.convert('RGB'))
