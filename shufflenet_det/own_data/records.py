"""Annotations as all the readers give them, and faults that are told all at once."""
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..common.errors import DataError, shorten


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


@dataclass
class Faults:
    """What is wrong, gathered by kind, so that one run names everything that is to be mended."""

    kinds: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, which: str) -> None:
        """Note a fault; ``kind`` says what is wrong and the remedy."""
        self.kinds.setdefault(kind, []).append(which)

    def check(self, source: object) -> None:
        """Raise :class:`DataError`, with a line for each kind of fault, if there is any."""
        if self.kinds:
            lines = [
                f'\n- {len(which)} x {kind}: {shorten(which, 5)}'
                for kind, which in self.kinds.items()
            ]
            raise DataError(f'{source} cannot be used as it is:' + ''.join(lines))


def repeated(values: Sequence) -> list:
    """The values that come more than once, each once, in order."""
    seen, twice = set(), {}
    for value in values:
        if value in seen:
            twice[value] = None
        seen.add(value)
    return list(twice)
