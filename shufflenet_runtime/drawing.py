"""Pictures of what was found."""
import colorsys

import cv2
import numpy as np

from .classifier import Classification
from .detector import Detections
from .files import printable

_FONT = cv2.FONT_HERSHEY_SIMPLEX
# neighbours on the circle of colours are as far apart as they can be
_GOLDEN = 0.618034


def draw(image: np.ndarray, found: Detections | Classification) -> np.ndarray:
    """A copy of an image (H, W, 3) with boxes and names, or with the names of its classes."""
    drawn = image.copy()
    # a line of text is about a twentieth of the image
    scale = max(0.5, min(image.shape[:2]) / 600)
    if isinstance(found, Classification):
        line = int(36 * scale)
        for row, (label, name) in enumerate(zip(found.labels, found.names, strict=True)):
            text = f'{name} {found.probabilities[label]:.2f}'
            _write(drawn, text, (0, row * line), _color(int(label)), scale)
        return drawn
    # the best last, on top
    for index in reversed(range(len(found))):
        color = _color(int(found.labels[index]))
        left, top, right, bottom = np.rint(found.boxes[index]).astype(int).tolist()
        cv2.rectangle(drawn, (left, top), (right, bottom), color, max(1, round(2 * scale)))
        text = f'{found.names[index]} {found.scores[index]:.2f}'
        _write(drawn, text, (left, top - int(26 * scale)), color, scale)
    return drawn


def _write(
    image: np.ndarray, text: str, corner: tuple[int, int], color: tuple, scale: float
) -> None:
    """Text on a coloured ground, moved into the image where it would leave it."""
    text, thickness = printable(text), max(1, round(1.5 * scale))
    (width, height), below = cv2.getTextSize(text, _FONT, 0.6 * scale, thickness)
    margin = 2 * thickness
    width, height, below = width + 2 * margin, height + margin, below + margin
    left = max(0, min(corner[0], image.shape[1] - width))
    top = max(0, min(corner[1], image.shape[0] - height - below))
    cv2.rectangle(image, (left, top), (left + width, top + height + below), color, cv2.FILLED)
    ink = (0, 0, 0) if sum(color) > 380 else (255, 255, 255)
    cv2.putText(
        image, text, (left + margin, top + height), _FONT, 0.6 * scale, ink, thickness, cv2.LINE_AA
    )


def _color(label: int) -> tuple[int, int, int]:
    hue = (label * _GOLDEN) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
    return int(255 * blue), int(255 * green), int(255 * red)
