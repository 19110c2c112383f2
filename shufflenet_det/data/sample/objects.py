"""Rendering of one object: outline, texture and soft shading."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

from ...common.errors import ConfigError
from .backgrounds import value_noise
from .shapes import CATEGORIES, Category, Outline, draw_outline

_BY_NAME = {category.name: category for category in CATEGORIES}
_SUBPIXEL_BITS = 6


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32)


def _mix(below: np.ndarray, colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Lays a colour [3] over the planes [3, h, w] with a weight [h, w]."""
    return below + (colour[:, None, None] - below) * weight


class _Canvas:
    """The pixels of one object in object coordinates, so that its texture turns with it.

    Attributes:
        u, v: object coordinates of the pixel centres, each [h, w].
        soft: width of one pixel in object coordinates; edges inside the object fade over it.
        base, accent, pale: the colours of this object, each [3].
    """

    def __init__(
        self,
        u: np.ndarray,
        v: np.ndarray,
        soft: float,
        category: Category,
        rng: np.random.Generator,
    ):
        self.u, self.v, self.soft, self.rng = u, v, soft, rng
        # One object in twelve has any hue: colour helps to tell categories apart, but not alone.
        hue = rng.random() if rng.random() < 1 / 12 else rng.normal(category.hue, 0.035)
        saturation, value = rng.uniform(0.5, 0.95), rng.uniform(0.6, 0.98)
        self.base = _colour(hue, saturation, value)
        darker = value * rng.uniform(0.4, 0.6)
        self.accent = _colour(hue + rng.normal(0, 0.05), saturation * 0.8, darker)
        self.pale = _colour(hue, saturation * 0.25, 0.97)

    def plain(self) -> np.ndarray:
        """The base colour everywhere, [3, h, w]."""
        return np.broadcast_to(self.base[:, None, None], (3, *self.u.shape))

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Soft membership of the region where distance, in object units, is positive."""
        return np.clip(distance / (1.5 * self.soft) + 0.5, 0, 1)

    def disc(self, x: float, y: float, radius: float) -> np.ndarray:
        return self.inside(radius - np.hypot(self.u - x, self.v - y))

    def box(self, x: float, y: float, half_w: float, half_h: float) -> np.ndarray:
        return self.inside(np.minimum(half_w - np.abs(self.u - x), half_h - np.abs(self.v - y)))


def _paint_ring(c: _Canvas) -> np.ndarray:
    angle = np.arctan2(c.v, c.u)
    sheen = 0.5 + 0.5 * np.cos(2 * angle + c.rng.uniform(0, 2 * np.pi))
    return _mix(_mix(c.plain(), c.accent, 0.55 * (1 - sheen)), c.pale, 0.7 * sheen**4)


def _paint_star(c: _Canvas) -> np.ndarray:
    # Each point of the star is a ridge: one flank in the light, the other in the shade.
    facet = np.sin(5 * (np.arctan2(c.v, c.u) + np.pi / 2))
    return _mix(c.plain(), c.accent, 0.6 * c.inside(facet * np.hypot(c.u, c.v) / 5))


def _paint_cross(c: _Canvas) -> np.ndarray:
    near, far = np.minimum(abs(c.u), abs(c.v)), np.maximum(abs(c.u), abs(c.v))
    inner = c.inside(np.minimum(c.rng.uniform(0.14, 0.2) - near, 0.84 - far))
    return _mix(c.plain(), c.pale, 0.85 * inner)


def _paint_heart(c: _Canvas) -> np.ndarray:
    x, y = c.rng.uniform(-0.55, -0.4), c.rng.uniform(-0.5, -0.35)
    glow = np.exp(-(np.square(c.u - x) + np.square(c.v - y)) / 0.06)
    return _mix(_mix(c.plain(), c.accent, np.clip(0.5 * c.v, 0, 0.5)), c.pale, 0.85 * glow)


def _paint_crescent(c: _Canvas) -> np.ndarray:
    colour = c.plain()
    for _ in range(c.rng.integers(5, 10)):
        angle, radius = c.rng.uniform(np.pi / 2, 3 * np.pi / 2), c.rng.uniform(0.65, 0.95)
        crater = c.disc(radius * np.cos(angle), radius * np.sin(angle), c.rng.uniform(0.05, 0.13))
        colour = _mix(colour, c.accent, 0.6 * crater)
    return colour


def _paint_fish(c: _Canvas) -> np.ndarray:
    stripes = np.sin(c.rng.uniform(9, 14) * c.u + c.rng.uniform(0, 6))
    colour = _mix(c.plain(), c.accent, 0.7 * c.inside(stripes / 12) * c.inside(0.45 - c.u))
    colour = _mix(colour, c.pale, np.clip(1.2 * c.v, 0, 0.6))
    colour = _mix(colour, np.float32([1, 1, 1]), c.disc(0.68, -0.08, 0.13))
    return _mix(colour, np.float32([0.05, 0.05, 0.08]), c.disc(0.7, -0.08, 0.07))


def _paint_house(c: _Canvas) -> np.ndarray:
    rows = np.floor(c.v / 0.14)
    course, brick = (c.v / 0.14) % 1, (c.u / 0.28 + rows / 2) % 1
    mortar = np.maximum(np.abs(course - 0.5) - 0.4, np.abs(brick - 0.5) - 0.45) > 0
    colour = _mix(c.plain(), c.pale, np.float32(0.35) * mortar)
    roof_line = c.rng.uniform(-0.22, -0.08)
    colour = _mix(colour, 0.6 * c.accent, c.inside(roof_line - c.v))
    window = c.rng.choice(np.float32([[0.98, 0.9, 0.55], [0.75, 0.88, 0.97], [0.2, 0.22, 0.3]]))
    for x in (-0.42, 0.42):
        colour = _mix(colour, window, c.box(x, 0.25, 0.17, 0.17))
    return _mix(colour, 0.5 * c.accent, c.box(0.0, 0.68, 0.17, 0.36))


def _paint_mug(c: _Canvas) -> np.ndarray:
    # The body is a cylinder: brightest left of its middle, dark to both sides.
    colour = _mix(c.plain(), c.accent, np.clip(np.square((c.u + 0.4) / 0.9), 0, 0.8))
    y, half = c.rng.uniform(-0.1, 0.3), c.rng.uniform(0.12, 0.22)
    colour = _mix(colour, c.pale, 0.85 * c.box(-0.25, y, 0.68, half))
    rim = 1 - np.hypot((c.u + 0.25) / 0.56, (c.v + 0.8) / 0.08)
    return _mix(colour, 0.35 * c.accent, c.inside(0.1 * rim))


_PAINTERS: dict[str, Callable[[_Canvas], np.ndarray]] = {
    'ring': _paint_ring,
    'star': _paint_star,
    'cross': _paint_cross,
    'heart': _paint_heart,
    'crescent': _paint_crescent,
    'fish': _paint_fish,
    'house': _paint_house,
    'mug': _paint_mug,
}


def _pose(category: Category, rng: np.random.Generator) -> np.ndarray:
    """Random flip, stretch and rotation as a matrix [2, 2] from object to image coordinates."""
    angle = np.deg2rad(rng.uniform(-category.tilt, category.tilt))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag([rng.choice([-1.0, 1.0]) * rng.uniform(0.85, 1.15), 1.0])
    return turn @ stretch


def _rasterise(outline: Outline, shape: tuple[int, int], size: int) -> np.ndarray:
    """Coverage [h, w] of an outline given in pixels, 0 to 1, by averaging finer pixels."""
    fine = 4 if size < 64 else 2
    coverage = np.zeros((shape[0] * fine, shape[1] * fine), dtype=np.uint8)
    for points, solid in outline:
        # Integers are pixel centres for OpenCV but pixel edges for the outline: hence the half.
        fixed = np.round((points * fine - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(coverage, [fixed], 255 if solid else 0, cv2.LINE_AA, _SUBPIXEL_BITS)
    small = cv2.resize(coverage, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def _relief(coverage: np.ndarray, size: int) -> np.ndarray:
    """Brightness [h, w] of a slightly rounded surface lit from the upper left."""
    sigma = max(0.8, 0.05 * size)
    height = cv2.copyMakeBorder(coverage, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    height = cv2.GaussianBlur(height, (0, 0), sigma)
    slope = height[1:-1, 2:] - height[1:-1, :-2] + height[2:, 1:-1] - height[:-2, 1:-1]
    return 1 + np.clip(slope * sigma * 0.7, -0.35, 0.35)


def render_object(category: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Renders one object on a transparent ground.

    Args:
        category: name of a category of `CATEGORIES`.
        size: longest side of the object after its rotation, in pixels, 8 or more.
        rng: source of all randomness: colours, proportions, pose and texture.

    Returns:
        RGBA [h, w, 4] uint8, not premultiplied, tight around the object: max(h, w) == size.

    Raises:
        ConfigError: if the category is unknown or the size is below 8.
    """
    if category not in _BY_NAME:
        raise ConfigError(f'unknown category {category!r}; known are {", ".join(_BY_NAME)}')
    if size < 8:
        raise ConfigError(f'an object must be 8 pixels or more in size, got {size}')
    kind = _BY_NAME[category]
    outline = draw_outline(kind, rng)
    pose = _pose(kind, rng)
    solid = np.concatenate([points @ pose.T for points, is_solid in outline if is_solid])
    low, extent = solid.min(axis=0), np.ptp(solid, axis=0)
    scale = size / extent.max()
    width, height = np.maximum(np.ceil(extent * scale - 1e-6), 1).astype(int)

    pixels = [((points @ pose.T - low) * scale, is_solid) for points, is_solid in outline]
    coverage = _rasterise(pixels, (height, width), size)

    x = ((np.arange(width) + 0.5) / scale + low[0]).astype(np.float32)[None, :]
    y = ((np.arange(height) + 0.5) / scale + low[1]).astype(np.float32)[:, None]
    back = np.linalg.inv(pose).astype(np.float32)
    u, v = back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y
    colour = _PAINTERS[category](_Canvas(u, v, 1 / scale, kind, rng))
    grain = 0.88 + 0.24 * value_noise(height, width, max(3, size // 6), rng)
    colour = np.clip(colour * (grain * _relief(coverage, size)), 0, 1)
    rgba = np.concatenate([colour, coverage[None]]) * 255 + 0.5
    return cv2.merge(list(rgba.astype(np.uint8)))
