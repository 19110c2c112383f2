"""Procedural backgrounds: textures that fill a picture, and clutter that is nobody's object."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np


def value_noise(height: int, width: int, cell: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise: random values on a coarse grid, interpolated.

    Args:
        height, width: size of the result in pixels.
        cell: distance of the grid points in pixels, about the size of a feature.
        rng: source of the values.

    Returns:
        Noise [height, width] float32 in [0, 1].
    """
    grid = rng.random((height // cell + 3, width // cell + 3), dtype=np.float32)
    noise = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(noise, 0, 1)


def _directed(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Distance in pixels [height, width] along a random direction."""
    angle = rng.uniform(0, np.pi)
    y, x = np.ogrid[:height, :width]
    return (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)


def _gradient(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    ramp = _directed(height, width, rng)
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    return 0.8 * ramp + 0.2 * value_noise(height, width, 90, rng)


def _plaster(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    octaves = ((0.55, 110), (0.25, 36), (0.2, 9))
    return sum(weight * value_noise(height, width, cell, rng) for weight, cell in octaves)


def _stripes(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    wave = _directed(height, width, rng) * (2 * np.pi / rng.uniform(18, 90))
    wave = wave + 2 * value_noise(height, width, 120, rng)
    return np.clip(0.5 + rng.uniform(0.6, 2.5) * np.sin(wave), 0, 1)


def _tiles(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    side = int(rng.integers(40, 110))
    shades = rng.random((height // side + 2, width // side + 2), dtype=np.float32)
    chequered = (np.indices(shades.shape).sum(axis=0) % 2).astype(np.float32)
    shades = 0.25 * shades + rng.uniform(0.15, 0.7) * chequered
    row, column = np.divmod(np.arange(height), side), np.divmod(np.arange(width), side)
    tiles = shades[row[0]][:, column[0]]
    joint = (row[1] < 2)[:, None] | (column[1] < 2)[None, :]
    return np.where(joint, 0.9, tiles) + 0.1 * value_noise(height, width, 6, rng)


def _wood(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    plank = int(rng.integers(60, 130))
    warp = 5 * value_noise(height, width, 140, rng)
    row = np.arange(height) // plank
    tone = rng.random(row[-1] + 1).astype(np.float32)[row][:, None]
    y = np.arange(height, dtype=np.float32)[:, None]
    grain = 0.5 + 0.5 * np.sin(y * rng.uniform(0.25, 0.5) + warp * 3 + 9 * tone)
    seam = (np.arange(height) % plank < 2)[:, None]
    board = 0.35 * grain + 0.4 * tone + 0.2 * value_noise(height, width, 12, rng)
    return np.where(seam, 1.0, board)


def _horizon(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    skyline = height * rng.uniform(0.35, 0.7) + 40 * value_noise(1, width, 80, rng)
    y = np.arange(height, dtype=np.float32)[:, None]
    ground = np.clip(y - skyline, 0, 1)
    sky = 0.3 * y / height + 0.2 * value_noise(height, width, 100, rng)
    return sky * (1 - ground) + ground * (0.65 + 0.35 * value_noise(height, width, 14, rng))


_TEXTURES: tuple[Callable[[int, int, np.random.Generator], np.ndarray], ...] = (
    _gradient,
    _plaster,
    _stripes,
    _tiles,
    _wood,
    _horizon,
)


def _muted(rng: np.random.Generator) -> np.ndarray:
    """A colour [3] of low saturation."""
    colour = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.03, 0.4), rng.uniform(0.2, 0.92))
    return np.array(colour, dtype=np.float32)


def _wires(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Up to six thin curves: opacity [height, width] in [0, 1]."""
    ink = np.zeros((height, width), dtype=np.uint8)
    for _ in range(rng.integers(0, 7)):
        # A random walk with inertia, so that a wire bends softly and hardly closes into a shape.
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.12, 20))
        steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * rng.uniform(6, 30)
        points = rng.uniform(0, 1, 2) * (width, height) + np.cumsum(steps, axis=0)
        strength, thickness = int(rng.integers(60, 170)), int(rng.integers(1, 3))
        cv2.polylines(ink, [points.astype(np.int32)], False, strength, thickness, cv2.LINE_AA)
    return ink.astype(np.float32) / 255


def render_background(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Renders a textured background: no object, but stains and wires that are nobody's object.

    Args:
        height, width: size in pixels.
        rng: source of all randomness.

    Returns:
        RGB [height, width, 3] uint8.
    """
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](height, width, rng)
    first, stain_colour, wire_colour = _muted(rng), _muted(rng), _muted(rng)
    # A second colour near the first keeps the texture behind the objects instead of before them.
    difference = (_muted(rng) - first) * rng.uniform(0.3, 0.9)
    stains = np.clip(value_noise(height, width, int(rng.integers(30, 80)), rng) * 4 - 3, 0, 1)
    stains *= rng.uniform(0, 0.5)
    wires = _wires(height, width, rng)
    light = 204 + 102 * value_noise(height, width, 300, rng)
    planes = []
    for channel in range(3):
        plane = texture * difference[channel]
        plane += first[channel]
        plane += (stain_colour[channel] - plane) * stains
        plane += (wire_colour[channel] - plane) * wires
        plane *= light
        planes.append(cv2.convertScaleAbs(np.maximum(plane, 0, out=plane)))
    return cv2.merge(planes)
