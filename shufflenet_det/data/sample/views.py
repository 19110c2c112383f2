"""Pictures of one object each: what the object wears, what stands around it, where it is cut."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import cache
from itertools import product

import cv2
import numpy as np

from ...common.errors import ConfigError
from .backgrounds import render_background
from .camera import blend, photograph
from .objects import render_object
from .shapes import CATEGORIES

# Longest side of the object as a share of the picture's side.
_SCALE = (0.55, 0.95)
# Furthest offset of the object's centre from the picture's, and largest part of the object beyond
# the edge: the object stays the main one, and recognisable.
_OFFSET, _BEYOND = 0.12, 0.15
# Period of a pattern as a share of the object's longest side, at least in pixels; its opacity.
_PERIOD, _SHORTEST_PERIOD, _OPACITY = (0.18, 0.3), 6.0, (0.7, 0.95)
# How often colour says nothing about the category, and how often there is none.
_ANY_HUE, _GREY = 0.35, 0.04
# What stands around the object: its longest side as a share of the object's, at least in pixels,
# and how much of it may be drawn before and after the object.
_CLUTTER_SCALE, _SMALLEST = (0.2, 0.45), 8
_MOST_BEHIND, _MOST_BEFORE = 2, 1
# Stickers of each class, their size in pixels, and the seed that makes them the same everywhere.
_STICKERS, _STICKER_SIZE, _STICKER_SEED = 6, 40, 7


def _striped(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(u)


def _dotted(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.cos(u) + np.cos(v) - 0.5


def _chequered(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 2 * np.sin(u / 1.4) * np.sin(v / 1.4)


# Fields over phases u, v [h, w]: ink where they are positive, with a slope of about 1 per radian.
_PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'striped': _striped,
    'dotted': _dotted,
    'chequered': _chequered,
}

SURFACES: tuple[str, ...] = ('plain', *_PATTERNS)


def _ink(rgb: np.ndarray, solid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour [3] that stands out in lightness from an object's: dark on light, light on dark."""
    light = rgb[solid].mean() > 0.5
    value = rng.uniform(0.05, 0.25) if light else rng.uniform(0.85, 1.0)
    saturation = rng.uniform(0.2, 0.9) if light else rng.uniform(0.0, 0.35)
    return np.float32(colorsys.hsv_to_rgb(rng.random(), saturation, value))


def _dress(rgba: np.ndarray, surface: str, rng: np.random.Generator) -> np.ndarray:
    """Prints a pattern on an object [h, w, 4] uint8, in any direction; `plain` changes nothing."""
    if surface == 'plain':
        return rgba
    height, width = rgba.shape[:2]
    period = max(_SHORTEST_PERIOD, max(height, width) * rng.uniform(*_PERIOD))
    angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32) * (2 * np.pi / period)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    field = _PATTERNS[surface](x * cos + y * sin + start[0], y * cos - x * sin + start[1])
    cover = np.clip(field * (period / (2 * np.pi)) + 0.5, 0, 1) * rng.uniform(*_OPACITY)
    rgb = rgba[..., :3].astype(np.float32) / 255
    rgb += (_ink(rgb, rgba[..., 3] > 127, rng) - rgb) * cover[..., None]
    return np.dstack([(rgb * 255 + 0.5).astype(np.uint8), rgba[..., 3]])


def _recolour(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At times turns all hues of an object [h, w, 4] uint8 by one random angle."""
    if rng.random() >= _ANY_HUE:
        return rgba
    hsv = cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += rng.integers(256, dtype=np.uint8)
    return np.dstack([cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), rgba[..., 3]])


@cache
def _stickers() -> tuple[np.ndarray, ...]:
    """Objects of all classes, each [h, w, 4] uint8: rendering every bit of clutter anew would take
    most of the time."""
    rng = np.random.default_rng(_STICKER_SEED)
    kinds = product([category.name for category in CATEGORIES], SURFACES, range(_STICKERS))
    return tuple(
        _dress(render_object(category, _STICKER_SIZE, rng), surface, rng)
        for category, surface, _ in kinds
    )


def _add_clutter(
    canvas: np.ndarray, count: int, main: int, shadow: float, rng: np.random.Generator
) -> None:
    """Sticks objects of any class on the picture, smaller than the main one, anywhere."""
    for _ in range(count):
        sticker = _stickers()[rng.integers(len(_stickers()))]
        scale = max(_SMALLEST, main * rng.uniform(*_CLUTTER_SCALE)) / _STICKER_SIZE
        if rng.random() < 0.5:
            sticker = sticker[:, ::-1]
        sticker = cv2.resize(sticker, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rgba = _recolour(sticker, rng)
        size, room = rgba.shape[:2], canvas.shape[1:]
        y, x = (round(rng.uniform(0, room[axis]) - size[axis] / 2) for axis in (0, 1))
        blend(canvas, rgba, x, y, shadow)


def _corner(length: int, room: int, rng: np.random.Generator) -> int:
    """Where a side of some length starts on an axis of the picture."""
    start = room * (0.5 + rng.uniform(-_OFFSET, _OFFSET)) - length / 2
    beyond = _BEYOND * length
    return round(min(max(start, -beyond), room - length + beyond))


def render_view(category: str, surface: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Renders a picture of one object, the largest and most central, among smaller ones.

    Args:
        category: name of a category of `CATEGORIES`.
        surface: one of `SURFACES`.
        size: side of the picture in pixels.
        rng: source of all randomness.

    Returns:
        RGB [size, size, 3] or grey [size, size], uint8.

    Raises:
        ConfigError: if the category or the surface is unknown, or the object would be smaller than
            8 pixels.
    """
    if surface not in SURFACES:
        raise ConfigError(f'unknown surface {surface!r}; known are {", ".join(SURFACES)}')
    # A larger background, shrunk: its features are made for pictures of several hundred pixels.
    wide = round(size * rng.uniform(1.2, 2.5))
    background = render_background(wide, wide, rng)
    background = cv2.resize(background, (size, size), interpolation=cv2.INTER_AREA)
    canvas = background.transpose(2, 0, 1).astype(np.float32, order='C')
    shadow = rng.uniform(0.15, 0.5)
    main = round(size * rng.uniform(*_SCALE))
    _add_clutter(canvas, rng.integers(_MOST_BEHIND + 1), main, shadow, rng)
    rgba = _recolour(_dress(render_object(category, main, rng), surface, rng), rng)
    height, width = rgba.shape[:2]
    blend(canvas, rgba, _corner(width, size, rng), _corner(height, size, rng), shadow)
    _add_clutter(canvas, rng.integers(_MOST_BEFORE + 1), main, shadow, rng)
    return photograph(canvas, rng.random() < _GREY, rng)
