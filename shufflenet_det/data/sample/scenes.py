"""Composition of one picture: where objects go and what hides what."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .backgrounds import render_background
from .camera import blend, photograph, window
from .objects import render_object
from .shapes import CATEGORIES, Category

# (height, width) and how often, after the most frequent sizes of COCO.
_SIZES = ((480, 640), (427, 640), (640, 480), (375, 500), (640, 427))
_SIZE_SHARES = (0.45, 0.2, 0.15, 0.12, 0.08)
# Longest side of an object in pixels and how often. An object fills about half of its square, so
# these bands are about the small, medium and large areas of COCO (32^2 and 96^2).
_SCALES = ((16, 44), (44, 130), (130, 300))
_SCALE_SHARES = (0.1, 0.4, 0.5)
_MOST_OBJECTS = 9
_TRIES = 12
# An object stays in the picture only if this much of it can be seen: nothing is visible without
# being annotated, and nothing is annotated that cannot be recognised.
_VISIBLE_SHARE = 0.4
_VISIBLE_PIXELS = 60


@dataclass(frozen=True)
class Instance:
    """One object, or one crowd of objects, of a scene.

    Attributes:
        category: the kind of object.
        size: longest side in pixels of the whole object, or of the largest one of a crowd.
        mask: the visible part, bool [h, w] of the picture.
        crowd: whether this is a group that is not annotated one by one.
    """

    category: Category
    size: int
    mask: np.ndarray
    crowd: bool


@dataclass(frozen=True)
class Scene:
    """A picture and what it shows.

    Attributes:
        image: RGB [h, w, 3] or grey [h, w], uint8.
        instances: the objects, in the order they were drawn.
        quality: JPEG quality to store the picture with.
    """

    image: np.ndarray
    instances: tuple[Instance, ...]
    quality: int


@dataclass
class _Placed:
    category: Category
    size: int
    area: int
    crowd: bool


class _Stage:
    """A picture being built.

    Attributes:
        canvas: colour planes, float32 [3, h, w]; planes, because NumPy is slow on triples.
        owner: number of the object each pixel belongs to, int32 [h, w]; 0 is the background.
        placed: the objects so far, the first one with number 1.
    """

    def __init__(self, background: np.ndarray):
        self.canvas = background.transpose(2, 0, 1).astype(np.float32, order='C')
        self.owner = np.zeros(background.shape[:2], dtype=np.int32)
        self.placed: list[_Placed] = []
        # Visible pixels of each number; one crowd may come on top of the objects.
        self._seen = np.zeros(_MOST_OBJECTS + 2, dtype=np.int64)

    def fits(self, solid: np.ndarray, x: int, y: int, overlap: bool) -> bool:
        """Whether a mask [h, w] at (x, y) and all that it would cover stay recognisable."""
        outer, inner = window(self.owner.shape, x, y, solid.shape)
        inside = solid[inner]
        if inside.sum() < max(_VISIBLE_PIXELS, _VISIBLE_SHARE * solid.sum()):
            return False
        hidden = np.bincount(self.owner[outer][inside], minlength=len(self.placed) + 1)
        for number, other in enumerate(self.placed, start=1):
            left = self._seen[number] - hidden[number]
            if hidden[number] and not overlap:
                return False
            if hidden[number] and left < max(_VISIBLE_PIXELS, _VISIBLE_SHARE * other.area):
                return False
        return True

    def draw(self, rgba: np.ndarray, x: int, y: int, number: int, shadow: float) -> None:
        """Blends an object [h, w, 4] into the picture and makes it the owner of its pixels."""
        blend(self.canvas, rgba, x, y, shadow)
        solid = rgba[..., 3] > 127
        (rows, columns), inner = window(self.owner.shape, x, y, solid.shape)
        owner = self.owner[rows, columns]
        self._seen -= np.bincount(owner[solid[inner]], minlength=len(self._seen))
        self._seen[number] += np.count_nonzero(solid[inner])
        owner[solid[inner]] = number


def _category(rng: np.random.Generator) -> Category:
    return CATEGORIES[rng.integers(len(CATEGORIES))]


def _corner(length: int, room: int, cut: bool, rng: np.random.Generator) -> int:
    """Where a side of some length starts on an axis of the picture, reaching over an end if cut."""
    if cut:
        beyond = int(length * rng.uniform(0.1, 0.5))
        return -beyond if rng.random() < 0.5 else room - length + beyond
    return int(rng.integers(0, max(room - length, 0) + 1))


def _add_object(stage: _Stage, size: int, shadow: float, rng: np.random.Generator) -> None:
    category = _category(rng)
    rgba = render_object(category.name, size, rng)
    solid = rgba[..., 3] > 127
    height, width = solid.shape
    bottom, right = stage.owner.shape
    overlap, cut = rng.random() < 0.3, rng.choice(3, p=(0.86, 0.07, 0.07))
    for _ in range(_TRIES):
        x, y = _corner(width, right, cut == 1, rng), _corner(height, bottom, cut == 2, rng)
        if stage.fits(solid, x, y, overlap):
            stage.placed.append(_Placed(category, size, int(solid.sum()), False))
            stage.draw(rgba, x, y, len(stage.placed), shadow)
            return


def _add_crowd(stage: _Stage, shadow: float, rng: np.random.Generator) -> None:
    """Draws many small objects of one kind on a jittered grid, all owned by one number."""
    category = _category(rng)
    step = int(rng.integers(20, 32))
    rows, columns = rng.integers(3, 5), rng.integers(4, 7)
    bottom, right = stage.owner.shape
    left, top = rng.integers(0, right - columns * step), rng.integers(0, bottom - rows * step)
    number = len(stage.placed) + 1
    largest = 0
    for row in range(rows):
        for column in range(columns):
            size = int(rng.integers(16, step + 3))
            x, y = rng.integers(-3, 4, 2) + (left + column * step, top + row * step)
            stage.draw(render_object(category.name, size, rng), int(x), int(y), number, shadow)
            largest = max(largest, size)
    stage.placed.append(_Placed(category, largest, int((stage.owner == number).sum()), True))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Drops pieces too small for a polygon, such as a row of pixels along an occluder's edge."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    crop = mask[y : y + height, x : x + width]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(crop.astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= max(8, 0.01 * np.count_nonzero(crop))
    kept[0] = False
    cleaned = np.zeros_like(mask)
    cleaned[y : y + height, x : x + width] = kept[labels]
    return cleaned


def _visible(stage: _Stage) -> tuple[Instance, ...]:
    instances = []
    for number, item in enumerate(stage.placed, start=1):
        mask = stage.owner == number
        if item.crowd:
            # A crowd's region is generous, as annotators draw it: it closes the gaps in the group.
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
            closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
            mask = closed & ((stage.owner == 0) | mask)
        else:
            mask = _without_specks(mask)
        instances.append(Instance(item.category, item.size, mask, item.crowd))
    return tuple(instances)


def render_scene(
    rng: np.random.Generator, *, empty: bool = False, crowd: bool = False, grey: bool = False
) -> Scene:
    """Renders one picture with its annotations.

    Every object that can be seen is annotated: one that would hide too much of another, or be
    hidden too much, is moved or left out.

    Args:
        rng: source of all randomness.
        empty: leave out all objects.
        crowd: begin with a group of small objects, annotated as one crowd.
        grey: a picture with a single channel.
    """
    height, width = _SIZES[rng.choice(len(_SIZES), p=_SIZE_SHARES)]
    stage = _Stage(render_background(height, width, rng))
    shadow = rng.uniform(0.15, 0.5)
    if crowd and not empty:
        _add_crowd(stage, shadow, rng)
    count = 0 if empty else min(1 + rng.poisson(4.2), _MOST_OBJECTS)
    bands = np.array(_SCALES)[rng.choice(len(_SCALES), size=count, p=_SCALE_SHARES)]
    sizes = np.exp(rng.uniform(np.log(bands[:, 0]), np.log(bands[:, 1]))) if count else ()
    # Large ones first: they would hide whatever was drawn before them.
    for size in sorted((round(size) for size in sizes), reverse=True):
        _add_object(stage, size, shadow, rng)
    quality = int(rng.integers(70, 96))
    return Scene(photograph(stage.canvas, grey, rng), _visible(stage), quality)
