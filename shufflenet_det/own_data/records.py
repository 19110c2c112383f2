"""Annotations as all the readers give them."""
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Box:
    """One annotated object.

    Attributes:
        category: name of its class.
        bbox: x and y of the left upper corner, width and height, in pixels counted from 0.
        where: how a message names it.
        crowd: a region that is neither learned nor counted, as COCO's ``iscrowd`` has it.
        area: square pixels of the object itself; those of the box if None.
        parts: whether ``bbox`` and ``outline`` are parts of the image's width and height.
        outline: polygons around the object, x and y in turn; none if it is not known.
    """

    category: str
    bbox: tuple[float, float, float, float]
    where: str
    crowd: bool = False
    area: float | None = None
    parts: bool = False
    outline: tuple[tuple[float, ...], ...] = ()

    def in_pixels(self, width: int, height: int) -> 'Box':
        """The same in pixels of an image of this size."""
        if not self.parts:
            return self
        x, y, w, h = self.bbox
        bbox = (x * width, y * height, w * width, h * height)
        outline = tuple(
            tuple(v * (height if i % 2 else width) for i, v in enumerate(polygon))
            for polygon in self.outline
        )
        area = sum(map(_area, outline)) if outline else None
        return replace(self, bbox=bbox, outline=outline, area=area, parts=False)


def _area(polygon: Sequence[float]) -> float:
    """Of a polygon, x and y in turn, by the shoelace formula."""
    xs, ys = polygon[::2], polygon[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2


@dataclass(frozen=True)
class Picture:
    """One annotated image.

    Attributes:
        names: names to look for in the image folder, the best first. The first match counts.
        size: width and height in pixels, as annotated; None if they are not.
        boxes: its objects; none for a negative, an image that shows no object.
        where: how a message names its annotations.
    """

    names: tuple[str, ...]
    size: tuple[int, int] | None
    boxes: tuple[Box, ...]
    where: str


@dataclass(frozen=True)
class Annotated:
    """What a reader makes of a data set.

    Attributes:
        images: folder that the names of the pictures are below.
        folders: those in it that the images are in; ``images`` itself where the reader has not
            looked.
        classes: names, in the order of their numbers.
        train: all pictures, or those to train on.
        val: those to validate on; None where the data set is not divided.
        notes: what was changed, left out or looks odd.
    """

    images: Path
    folders: tuple[Path, ...]
    classes: tuple[str, ...]
    train: list[Picture]
    val: list[Picture] | None
    notes: list[str]
