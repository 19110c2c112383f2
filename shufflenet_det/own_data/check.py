"""Holds annotations against the images that they speak of."""
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from mmengine.fileio.backends import LocalBackend
from PIL import ExifTags, Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..common.errors import DataError, shorten
from ..common.faults import Faults
from ..data.imagenet_layouts import list_images
from ..data.transforms import CheckedLoadImageFromFile
from .records import Box, Picture

# annotation tools round, and some count pixels from 1
TOLERANCE = 1.0


class ImageFolder:
    """The images in a folder and in the folders in it, found by names that may be inexact.

    Raises:
        DataError: the folder is missing or holds no image.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise DataError(f'image folder not found: {folder}.')
        self.files = list_images(LocalBackend(), str(folder), IMG_EXTENSIONS)
        if not self.files:
            raise DataError(
                f'{folder} holds no image. Files that count end in {shorten(IMG_EXTENSIONS, 12)}.'
            )
        self._by_name, self._by_stem = defaultdict(list), defaultdict(list)
        for file in self.files:
            path = PurePosixPath(file)
            self._by_name[path.name].append(file)
            self._by_stem[path.stem].append(file)

    def find(self, name: str) -> list[str]:
        """The files, relative to the folder, that a name may mean: one, several or none.

        A path of the annotating machine stands for a file of its last name, and a name
        without an extension for an image of that stem.
        """
        path = PurePosixPath(name.replace('\\', '/'))
        if str(path) in self._by_name.get(path.name, ()):
            return [str(path)]
        if path.suffix.lower() in IMG_EXTENSIONS:
            return self._by_name.get(path.name, [])
        return self._by_stem.get(path.name, [])


def match(pictures: Sequence[Picture], images: ImageFolder, mend: bool, source: Path
          ) -> tuple[list[Picture], list[str]]:  # fmt: skip
    """Find, read and measure all images, and hold sizes and boxes against their pixels.

    Boxes that reach outside by a pixel at most are clipped; boxes that come twice count once.

    Args:
        pictures: from a reader.
        images: where the images are.
        mend: clip the boxes that reach further outside, and leave out those that are then, or
            were, smaller than a pixel a side.
        source: the annotations, for messages.

    Returns:
        The pictures by name, with the one name relative to the folder and the size that training
        will see, and notes on what was changed.

    Raises:
        DataError: an image is missing, ambiguous, named twice or unreadable, or its size is not
            that of its pixels, or boxes are outside or empty without ``mend``.
    """
    faults, changes = Faults(), Counter()
    found = _find_all(pictures, images, faults)
    paths = {name: str(images.folder / name) for name in found}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = dict(zip(paths, pool.map(_read_size, paths.values()), strict=True))
    matched = []
    for name, picture in found.items():
        size = sizes[name]
        if isinstance(size, str):
            faults.add('image that cannot be read. Replace it, or take it out', f'{name} ({size})')
            continue
        if picture.size not in (None, size):
            reason = _contradiction(paths[name], picture.size, size)
            faults.add('image of another size than annotated', f'{name} ({reason})')
            continue
        fit = partial(_fit, size=size, mend=mend, faults=faults, changes=changes)
        boxes = tuple(box for b in _once(picture.boxes, changes) if (box := fit(b)) is not None)
        matched.append(replace(picture, names=(name,), size=size, boxes=boxes))
    faults.check(source)
    return matched, [f'{what}: {times}' for what, times in sorted(changes.items())]


def _find_all(
    pictures: Sequence[Picture], images: ImageFolder, faults: Faults
) -> dict[str, Picture]:
    """Pictures by file, sorted."""
    found = {}
    for picture in pictures:
        files = next(filter(None, map(images.find, picture.names)), [])
        if not files:
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
    return replace(box, bbox=clipped, area=area)
