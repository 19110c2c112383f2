"""What every rendered picture goes through: objects laid over a canvas, a camera, a file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

Window = tuple[slice, slice]


def window(room: tuple[int, int], x: int, y: int, shape: tuple[int, int]) -> tuple[Window, Window]:
    """What a patch covers of a picture, and what of the patch lies inside the picture.

    Args:
        room: height and width of the picture in pixels.
        x, y: upper left corner of the patch in the picture; may be negative.
        shape: height and width of the patch.

    Returns:
        Rows and columns of the picture, rows and columns of the patch.
    """
    top, left = max(y, 0), max(x, 0)
    rows = slice(top, max(min(y + shape[0], room[0]), top))
    columns = slice(left, max(min(x + shape[1], room[1]), left))
    inner = slice(top - y, rows.stop - y), slice(left - x, columns.stop - x)
    return (rows, columns), inner


def blend(canvas: np.ndarray, rgba: np.ndarray, x: int, y: int, shadow: float) -> None:
    """Lays an object over a picture, over a soft shadow to its lower right.

    Args:
        canvas: colour planes [3, H, W], float32 in 0..255; changed in place.
        rgba: the object [h, w, 4], uint8, not premultiplied.
        x, y: upper left corner of the object in the picture.
        shadow: strength of the shadow, 0 to 1.
    """
    room = canvas.shape[1:]
    reach = max(2, int(0.04 * max(rgba.shape[:2])))
    pad = 3 * reach
    alpha = rgba[..., 3].astype(np.float32) / 255
    blurred = cv2.copyMakeBorder(alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    blurred = cv2.GaussianBlur(blurred, (0, 0), reach)
    (rows, columns), inner = window(room, x - pad + reach, y - pad + reach, blurred.shape)
    canvas[:, rows, columns] *= 1 - shadow * blurred[inner]
    (rows, columns), inner = window(room, x, y, alpha.shape)
    below = canvas[:, rows, columns]
    below += (rgba[inner][..., :3].transpose(2, 0, 1) - below) * alpha[inner]


def photograph(canvas: np.ndarray, grey: bool, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, focus and sensor noise of a camera.

    Args:
        canvas: colour planes [3, h, w], float32 in 0..255.
        grey: whether the picture has one channel.
        rng: source of all randomness.

    Returns:
        RGB [h, w, 3], or grey [h, w], uint8.
    """
    planes = canvas
    if grey:
        planes = np.tensordot(np.float32([0.299, 0.587, 0.114]), canvas, axes=1)[None]
    contrast, brightness = rng.uniform(0.8, 1.12), rng.uniform(-18, 18)
    sigma = rng.uniform(0.4, 1.3) if rng.random() < 0.3 else 0
    grain = rng.standard_normal(planes.shape[1:], dtype=np.float32)
    grain *= rng.uniform(0, 7)
    grain += 128 * (1 - contrast) + brightness
    seen = []
    for plane in planes:
        sharp = cv2.GaussianBlur(plane, (0, 0), sigma) if sigma else plane
        exposed = sharp * contrast
        exposed += grain
        seen.append(cv2.convertScaleAbs(np.maximum(exposed, 0, out=exposed)))
    return seen[0] if grey else cv2.merge(seen)


def write_jpeg(path: Path, picture: np.ndarray, quality: int) -> None:
    """Stores RGB [h, w, 3] or grey [h, w] pixels, uint8, with a quality of 0 to 100."""
    pixels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise RuntimeError(f'OpenCV could not encode {path.name} as JPEG')
    path.write_bytes(data.tobytes())
