"""The categories of the sample data set and their outlines.

Outlines live in object coordinates: x to the right, y down, the object upright and roughly inside
[-1, 1]^2. Everything random about a shape (its thickness, the size of a tail) is drawn here, so
that two objects of one category are alike without being copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# (points [n, 2], solid), drawn in order: a solid polygon adds to the object, another cuts a hole.
Outline = list[tuple[np.ndarray, bool]]


@dataclass(frozen=True)
class Category:
    """One kind of object.

    Attributes:
        id: COCO category id; ids have gaps, as COCO's do, so that code which takes an id for a
            class index fails here and not only on the full data set.
        name: name of the category.
        supercategory: COCO supercategory.
        hue: the hue (0 to 1) most objects of the category are close to.
        tilt: largest rotation from upright, in degrees.
    """

    id: int
    name: str
    supercategory: str
    hue: float
    tilt: float


CATEGORIES: tuple[Category, ...] = (
    Category(1, 'ring', 'jewel', 0.11, 180.0),
    Category(2, 'star', 'jewel', 0.16, 180.0),
    Category(3, 'cross', 'sign', 0.36, 60.0),
    Category(5, 'heart', 'sign', 0.96, 60.0),
    Category(7, 'crescent', 'sky', 0.63, 180.0),
    Category(8, 'fish', 'animal', 0.51, 45.0),
    Category(11, 'house', 'household', 0.04, 20.0),
    Category(13, 'mug', 'household', 0.78, 25.0),
)


def _circle(radius: float, x: float = 0.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    return np.stack([x + radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _ring(rng: np.random.Generator) -> Outline:
    return [(_circle(1.0), True), (_circle(rng.uniform(0.5, 0.68)), False)]


def _star(rng: np.random.Generator) -> Outline:
    inner = rng.uniform(0.42, 0.54)
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 1.0, inner)
    return [(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), True)]


def _cross(rng: np.random.Generator) -> Outline:
    half = rng.uniform(0.28, 0.4)
    upright = np.array([[-half, -1], [half, -1], [half, 1], [-half, 1]])
    return [(upright, True), (upright[:, ::-1], True)]


def _heart(rng: np.random.Generator) -> Outline:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    dip = rng.uniform(4.4, 5.6)
    x = 16 * np.sin(angle) ** 3
    y = -(13 * np.cos(angle) - dip * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle))
    return [(np.stack([x, y], axis=1) / 16, True)]


def _crescent(rng: np.random.Generator) -> Outline:
    radius, shift = rng.uniform(0.8, 0.9), rng.uniform(0.5, 0.66)
    # The tips lie where the bite, a circle around (shift, 0), crosses the unit circle.
    x = (1 - radius**2 + shift**2) / (2 * shift)
    tip = np.arccos(x)
    bite = np.arctan2(np.sin(tip), x - shift)
    back = np.linspace(tip, 2 * np.pi - tip, 60)
    front = np.linspace(2 * np.pi - bite, bite, 60)[1:-1]
    outer = np.stack([np.cos(back), np.sin(back)], axis=1)
    inner = np.stack([shift + radius * np.cos(front), radius * np.sin(front)], axis=1)
    return [(np.concatenate([outer, inner]), True)]


def _fish(rng: np.random.Generator) -> Outline:
    height = rng.uniform(0.42, 0.55)
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    # The power makes the ellipse end in a pointed mouth (+x) and a thin tail root (-x).
    profile = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 1.3
    body = np.stack([0.25 + 0.75 * np.cos(angle), height * profile], axis=1)
    spread, notch = rng.uniform(0.4, 0.6), rng.uniform(-0.85, -0.72)
    tail = np.array([[-0.3, 0.0], [-1.0, -spread], [notch, 0.0], [-1.0, spread]])
    fin = np.array([[-0.05, -height * 0.8], [-0.15, -height - 0.25], [0.45, -height * 0.75]])
    return [(body, True), (tail, True), (fin, True)]


def _house(rng: np.random.Generator) -> Outline:
    eaves, wall = rng.uniform(-0.3, -0.1), rng.uniform(0.72, 0.84)
    walls = np.array([[-wall, eaves], [wall, eaves], [wall, 1], [-wall, 1]])
    roof = np.array([[0, -1], [1, eaves + 0.08], [-1, eaves + 0.08]])
    outline = [(walls, True), (roof, True)]
    if rng.random() < 0.7:
        x = rng.uniform(0.4, 0.6)
        chimney = np.array([[x, -0.9], [x + 0.2, -0.9], [x + 0.2, eaves], [x, eaves]])
        outline.append((chimney, True))
    return outline


def _mug(rng: np.random.Generator) -> Outline:
    height, reach = rng.uniform(0.75, 0.95), rng.uniform(0.36, 0.44)
    angle = np.linspace(0, np.pi, 24)
    foot = np.stack([-0.25 + 0.6 * np.cos(angle), height - 0.12 + 0.12 * np.sin(angle)], axis=1)
    top = np.stack([-0.25 - 0.65 * np.cos(angle), -height + 0.1 - 0.1 * np.sin(angle)], axis=1)
    handle, gap = _circle(reach + 0.08, 0.4), _circle(reach - 0.12, 0.4)
    return [(handle, True), (gap, False), (np.concatenate([foot, top]), True)]


_OUTLINES: dict[str, Callable[[np.random.Generator], Outline]] = {
    'ring': _ring,
    'star': _star,
    'cross': _cross,
    'heart': _heart,
    'crescent': _crescent,
    'fish': _fish,
    'house': _house,
    'mug': _mug,
}


def draw_outline(category: Category, rng: np.random.Generator) -> Outline:
    """One outline of a category, with its random proportions.

    Args:
        category: the kind of object.
        rng: source of all randomness.

    Returns:
        Polygons with points [n, 2] in object coordinates, to be drawn in order.
    """
    return _OUTLINES[category.name](rng)
