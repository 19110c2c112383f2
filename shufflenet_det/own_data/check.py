"""Holds annotations against the images that they speak of."""
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from shufflenet_runtime.files import is_utf8, require_images
from shufflenet_runtime.images import SUFFIXES

from PIL import ExifTags, Image

from ..common.errors import DataError, shorten
from ..common.faults import Faults
from ..data.transforms import CheckedLoadImageFromFile
from .records import AnnotatedImage, Box
from .resolution import Resizing

# annotation tools round, and some count pixels from 1
TOLERANCE = 1.0


class ImageFolder:
    """The images in a folder and in the folders in it, found by names that may be inexact.

    Args:
        folder: the folder.
        parts: folders in it to look into; all if there are none.

    Attributes:
        files: the images, by their paths below the folder, sorted.
        left_out: what else looks like images, a phrase for each reason.

    Raises:
        DataError: the folder is missing or holds no image.
    """

    def __init__(self, folder: Path, parts: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.files, self.left_out, self._others = [], [], set()
        for part in parts or (folder,):
            if not part.is_dir():
                raise DataError(f'image folder not found: {part}.')
            listing = require_images(part)
            self.files += [(part / file).relative_to(folder).as_posix() for file in listing.images]
            self.left_out += listing.left_out()
            self._others |= {_folded(PurePosixPath(file).name) for file in listing.others}
        # a part may be in another
        self.files = sorted(set(self.files))
        self._by_name, self._by_stem = defaultdict(list), defaultdict(list)
        self._folded = defaultdict(list)
        for file in self.files:
            path = PurePosixPath(file)
            self._by_name[path.name].append(file)
            self._by_stem[path.stem].append(file)
            self._folded[_folded(path.name)].append(file)

    def find(self, name: str) -> list[str]:
        """The files, relative to the folder, that a name may mean: one, several or none.

        A path of the annotating machine stands for a file of its last name, a name without an
        extension for an image of that stem, and a name that no file has for one that differs in
        the case of letters, or in how their bytes are written.
        """
        path = PurePosixPath(name.replace('\\', '/'))
        if str(path) in self._by_name.get(path.name, ()):
            return [str(path)]
        if path.suffix.lower() in SUFFIXES:
            alike = self._by_name.get(path.name) or self._folded.get(_folded(path.name), [])
            exact = [file for file in alike if _folded(file) == _folded(str(path))]
            return exact if len(exact) == 1 else alike
        return self._by_stem.get(path.name, [])

    def is_of_another_format(self, name: str) -> bool:
        """Whether the folder has a file of this name that is an image, but cannot be read."""
        return _folded(PurePosixPath(name.replace('\\', '/')).name) in self._others


def _folded(name: str) -> str:
    """A name without what differs between systems: composed letters, and their case."""
    if not is_utf8(name):
        # as Windows wrote names before it had Unicode
        name = os.fsencode(name).decode('cp1252', 'replace')
    return unicodedata.normalize('NFC', name).casefold()


def match(
    pictures: Sequence[AnnotatedImage], images: ImageFolder, mend: bool, source: Path,
    resizing: Resizing | None = None,
) -> tuple[list[AnnotatedImage], list[str]]:  # fmt: skip
    """Find, read and measure all images, and hold sizes and boxes against their pixels.

    Boxes that reach outside by a pixel at most are clipped; boxes that come twice count once.

    Args:
        pictures: from a reader.
        images: where the images are.
        mend: clip the boxes that reach further outside, and leave out those that are then, or
            were, smaller than a pixel a side.
        source: the annotations, for messages.
        resizing: what the config does with the sizes of images.

    Returns:
        The pictures by name, with the one name relative to the folder and the size that training
        will see, and notes on what was changed.

    Raises:
        DataError: an image is missing, ambiguous, named twice, unreadable or too narrow to be
            resized, or its size is not that of its pixels, or boxes are outside or empty without
            ``mend``, or all boxes are in other units or another order.
    """
    faults, changes = Faults(), Counter()
    found = _find_all(pictures, images, faults)
    paths = {name: str(images.folder / name) for name in found}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = dict(zip(paths, pool.map(_read_size, paths.values()), strict=True))
    readable = {name: p for name, p in found.items() if not isinstance(sizes[name], str)}
    _check_units(readable, sizes, source)
    matched = []
    for name, picture in found.items():
        size = sizes[name]
        if isinstance(size, str):
            faults.add('image that cannot be read. Replace it, or take it out', f'{name} ({size})')
            continue
        # as mmcv rounds
        if resizing and int(min(resizing.sides(size)) + 0.5) < 1:
            faults.add(
                f'image of which nothing is left when it is resized to {resizing}. Take it out, '
                'cut it to pieces, or use another --base',
                f'{name} ({size[0]}x{size[1]})',
            )
            continue
        if picture.size not in (None, size):
            reason = _contradiction(paths[name], picture.size, size)
            faults.add('image of another size than annotated', f'{name} ({reason})')
            continue
        fit = partial(_fit, size=size, mend=mend, faults=faults, changes=changes)
        boxes = _once([box.in_pixels(*size) for box in picture.boxes], changes)
        boxes = tuple(box for b in boxes if (box := fit(b)) is not None)
        matched.append(replace(picture, names=(name,), size=size, boxes=boxes))
    faults.check(source)
    return matched, [f'{what}: {times}' for what, times in sorted(changes.items())]


def _find_all(
    pictures: Sequence[AnnotatedImage], images: ImageFolder, faults: Faults
) -> dict[str, AnnotatedImage]:
    """Pictures by file, sorted."""
    found = {}
    for picture in pictures:
        files = next(filter(None, map(images.find, picture.names)), [])
        if not files and any(map(images.is_of_another_format, picture.names)):
            faults.add(
                'image of a format that is not read. Convert it to JPEG or PNG, and name that',
                picture.names[0],
            )
        elif not files:
            faults.add(
                f'image that is not in {images.folder}. Add it, or take it out of the annotations',
                picture.names[0],
            )
        elif len(files) > 1:
            faults.add(
                'name that several images have. Write the path below the image folder',
                f'{picture.names[0]} ({shorten(files, 3)})',
            )
        elif files[0] in found:
            faults.add(
                'image that is annotated twice. Merge the two',
                f'{files[0]} ({found[files[0]].where} and {picture.where})',
            )
        else:
            found[files[0]] = picture
    return dict(sorted(found.items()))


def _read_size(path: str) -> tuple[int, int] | str:
    """Width and height of an image as training reads it, or why it cannot."""
    try:
        height, width = CheckedLoadImageFromFile()(dict(img_path=path))['img_shape']
    except DataError as error:
        return 'truncated or not an image' if 'truncated' in str(error) else str(error)
    return width, height


def _check_units(
    pictures: Mapping[str, AnnotatedImage], sizes: Mapping[str, tuple], source: Path
) -> None:
    """Refuse boxes that are something else than x, y, width and height in pixels.

    One by one they would be called empty or outside, and with ``mend`` clipped to nonsense.
    """
    boxes = [
        (box.bbox, sizes[name]) for name, p in pictures.items() for box in p.boxes if not box.parts
    ]
    # VOC's corners count from 1, so that parts come out as -1 to 0 with sides of 1 to 2
    parts = sum(min(x, y) >= -1 and max(x, y) <= 1 and max(w, h) <= 2 for (x, y, w, h), _ in boxes)
    if parts > len(boxes) / 2:
        raise DataError(
            f'{source}: these look normalised: {parts} of {len(boxes)} boxes lie between 0 and 1. '
            'Export them in pixels, or multiply them by the width and height of their image.'
        )
    outside = [x + w > s[0] + TOLERANCE or y + h > s[1] + TOLERANCE for (x, y, w, h), s in boxes]
    corners = [
        x < right <= s[0] + TOLERANCE and y < bottom <= s[1] + TOLERANCE
        for (x, y, right, bottom), s in boxes
    ]
    if sum(outside) > len(boxes) / 4 and all(corners):
        raise DataError(
            f'{source}: these look like corners: {sum(outside)} of {len(boxes)} boxes reach '
            'outside their image as x, y, width and height, and all fit as x1, y1, x2, y2. Export '
            'them as x, y, width and height.'
        )


def _contradiction(path: str, annotated: tuple[int, int], size: tuple[int, int]) -> str:
    reason = f'annotated {annotated[0]}x{annotated[1]}, pixels {size[0]}x{size[1]}'
    if annotated == size[::-1]:
        with Image.open(path) as image:
            if image.getexif().get(ExifTags.Base.Orientation, 1) >= 5:
                reason += ', turned by its EXIF orientation: save it without, and annotate that'
    return reason


def _once(boxes: Sequence[Box], changes: Counter) -> list[Box]:
    different = {(box.category, box.bbox, box.crowd): box for box in boxes}
    if len(different) < len(boxes):
        changes['boxes left out that came twice'] += len(boxes) - len(different)
    return list(different.values())


def _fit(
    box: Box, size: tuple[int, int], mend: bool, faults: Faults, changes: Counter
) -> Box | None:
    x, y, width, height = box.bbox
    right, bottom = min(x + width, size[0]), min(y + height, size[1])
    left, top = max(x, 0.0), max(y, 0.0)
    outside = max(left - x, top - y, x + width - right, y + height - bottom)
    where = f'{box.where}: x {x:g}, y {y:g}, {width:g} wide, {height:g} high'
    # MMDetection, too, leaves out what is smaller than a pixel, but in silence
    if min(right - left, bottom - top) < 1:
        if not mend:
            faults.add(
                'box smaller than a pixel or wholly outside. Correct it, or --mend leaves it out',
                f'{where} in {size[0]}x{size[1]}',
            )
        changes['boxes left out that were empty or wholly outside'] += 1
        return None
    if outside > TOLERANCE and not mend:
        faults.add(
            'box that reaches outside the image. Correct it, or --mend clips it',
            f'{where} in {size[0]}x{size[1]}',
        )
        return None
    if outside <= 0.01:
        return box
    changes['boxes clipped that reached outside their image'] += 1
    clipped = (left, top, right - left, bottom - top)
    area = None if box.area is None else min(box.area, clipped[2] * clipped[3])
    outline = tuple(
        tuple(min(max(v, 0.0), size[i % 2]) for i, v in enumerate(polygon))
        for polygon in box.outline
    )
    return replace(box, bbox=clipped, area=area, outline=outline)
