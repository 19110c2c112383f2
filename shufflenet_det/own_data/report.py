"""What a prepared data set holds, as text."""
import math
from collections import Counter
from statistics import median

from terminaltables import AsciiTable

from .preparation import Prepared
from .records import AnnotatedImage
from .resolution import Resizing
from .split import classes_in

# the COCO API's bounds of small and medium objects, in square pixels
SMALL, MEDIUM = 32**2, 96**2


def summary(prepared: Prepared) -> str:
    """Images and boxes of each class and part, sizes of the boxes, and the notes."""
    parts = (prepared.train, prepared.val)
    images = [Counter(name for p in part for name in classes_in(p)) for part in parts]
    boxes = [Counter(box.category for p in part for box in _counted(p)) for part in parts]
    rows = [('class', 'training images', 'boxes', 'validation images', 'boxes')]
    rows += [
        (name, images[0][name], boxes[0][name], images[1][name], boxes[1][name])
        for name in prepared.classes
    ]
    rows.append(
        ('all', len(parts[0]), boxes[0].total(), len(parts[1]), boxes[1].total())
    )
    table = AsciiTable([list(map(str, row)) for row in rows], f' {prepared.out} ')
    table.justify_columns = dict.fromkeys(range(1, 5), 'right')
    return '\n'.join(
        [table.table, _sizes(prepared)]
        + [f'note: {note}' for note in prepared.notes]
    )


def _counted(picture: AnnotatedImage) -> list:
    return [box for box in picture.boxes if not box.crowd]


def _sizes(prepared: Prepared) -> str:
    resizing = Resizing.of(prepared.config)
    sides, areas = [], []
    for picture in [*prepared.train, *prepared.val]:
        after = resizing.sides(picture.size) if resizing else picture.size
        # of the sides of a square of the same area
        scale = (math.prod(after) / math.prod(picture.size)) ** 0.5
        for box in _counted(picture):
            area = box.bbox[2] * box.bbox[3]
            sides.append((area**0.5, area**0.5 * scale))
            areas.append(area if box.area is None else box.area)
    small = sum(area < SMALL for area in areas)
    medium = sum(SMALL <= area < MEDIUM for area in areas)
    text = (
        f'boxes: {small} small (below 32x32 pixels), {medium} medium (below 96x96), '
        f'{len(areas) - small - medium} large; half are below '
        f'{median(side for side, _ in sides):.0f} pixels a side'
    )
    if resizing:
        after = median(side for _, side in sides)
        text += f', {after:.0f} after the config has resized the images to {resizing}'
    return text
