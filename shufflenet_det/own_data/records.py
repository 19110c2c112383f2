"""Annotations as all the readers give them."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One annotated object.

    Attributes:
        category: name of its class.
        bbox: x and y of the left upper corner, width and height, in pixels counted from 0.
        where: how a message names it.
        crowd: a region that is neither learned nor counted, as COCO's ``iscrowd`` has it.
        area: square pixels of the object itself; those of the box if None.
    """

    category: str
    bbox: tuple[float, float, float, float]
    where: str
    crowd: bool = False
    area: float | None = None


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
