"""Reads data sets in YOLO's layout: ``data.yaml``, images, and a label file for each image.

The layout is that of Ultralytics, which Roboflow, CVAT and Label Studio export, too. Labels are
parts of the width and height of their image, so that only :mod:`.check` knows them in pixels.
"""
import re
from collections.abc import Iterator
from os.path import commonpath
from pathlib import Path

from shufflenet_runtime.files import list_images

from ..common.errors import DataError, shorten
from ..common.faults import Faults
from .records import Annotated, Picture
from .yolo_file import DataFile, Part
from .yolo_labels import LabelReader

# text files that are beside labels and are none
_NO_LABELS = re.compile(r'(classes|labels|obj|notes|predefined_classes|train|val|valid|test)$'
                        r'|readme|licen[cs]e|requirements', re.IGNORECASE)  # fmt: skip
_VAL_KEYS = ('val', 'valid', 'validation')


def read_yolo(path: Path) -> Annotated:
    """Classes and images of a ``data.yaml``, or of a ``classes.txt`` beside the folder ``images``.

    Boxes and outlines may come in one file; an outline becomes its box, and is kept. An image with
    an empty label file or without one is a negative.

    Raises:
        DataError: it is no such file, its paths do not exist (the message names those that were
            tried), or labels are wrong: the message names all, by file and line.
    """
    about = DataFile(path)
    names, faults = about.names(), Faults()
    train = about.part(('train',), faults)
    if train is None:
        raise DataError(f'{path} has no `train`: name the folder of the images to train on there.')
    val = about.part(_VAL_KEYS, faults)
    faults.check(path)
    notes = []
    if val is not None and set(val.images) == set(train.images):
        notes.append('val of data.yaml is train: a share of the images is set aside in its place')
        val = None
    parts = [part for part in (train, val) if part is not None]
    for image in train.images.keys() & (val.images.keys() if val else ()):
        which = f'{image} ({train.images[image]} and {val.images[image]})'
        faults.add('image that is in train and in val. Take it out of one', which)
    if len({*train.images, *(val.images if val else ())}) == 0:
        raise DataError(f'{path}: there is no image in {shorten(train.folders)}.')
    reader = LabelReader(names, about.keypoints(), faults)
    folders = [folder for part in parts for folder in part.folders]
    root = Path(commonpath(folders))
    pictures = [list(_pictures(part, about.root, root, reader)) for part in parts]
    labelled = {file for part in pictures for _, file in part if file is not None}
    if not labelled:
        tried = dict.fromkeys(b for folder in folders for b in _label_folders(folder, about.root))
        raise DataError(
            f'{path}: no image has a label file. Tried: {shorten(tried)}. Put the labels into one '
            'of these folders, with the names of the images.'
        )
    faults.check(path)
    unused = [f for folder in dict.fromkeys(folders) for f in _without_image(folder, about.root)]
    if unused:
        notes.append(f'label files without an image: {len(unused)} ({shorten(unused, 5)}). Add the '
                     'images, if they should be there')  # fmt: skip
    if reader.mixed:
        notes.append(
            f'files with boxes beside outlines, which are kept without one: {len(reader.mixed)} '
            f'({shorten(reader.mixed, 3)})'
        )
    if about.text_of('test'):
        notes.append('test of data.yaml is left out')
    read = [[picture for picture, _ in part] for part in pictures]
    return Annotated(root, tuple(folders), names, read[0], read[1] if val else None, notes)


def _label_folders(folder: Path, root: Path) -> list[Path]:
    """Where the labels of a folder of images may be, the most usual first."""
    found = []
    if 'images' in folder.parts:
        last = len(folder.parts) - 1 - folder.parts[::-1].index('images')
        found.append(Path(*folder.parts[:last], 'labels', *folder.parts[last + 1 :]))
    found += [folder, root / 'labels' / folder.name, folder.parent / 'labels' / folder.name]
    return list(dict.fromkeys(found))


def _pictures(
    part: Part, root: Path, images: Path, reader: LabelReader
) -> Iterator[tuple[Picture, Path | None]]:
    """Each image of a part, and its label file."""
    owners: dict[Path, Path] = {}
    for image, where in part.images.items():
        holding = [folder for folder in part.folders if image.is_relative_to(folder)]
        folder = max(holding, key=lambda folder: len(folder.parts))
        below = image.relative_to(folder).with_suffix('.txt')
        files = [base / below for base in _label_folders(folder, root)]
        files = [file for file in files if file.is_file()]
        if len({file.read_bytes() for file in files}) > 1:
            reader.faults.add('image with two label files that differ. Take one out',
                              shorten(files))  # fmt: skip
        file = files[0] if files else None
        if file in owners:
            reader.faults.add('two images with one label file. Rename one and its labels',
                              f'{owners[file]} and {image} ({file})')  # fmt: skip
        if file is not None:
            owners[file] = image
        name = image.relative_to(images).as_posix()
        boxes = reader.read(file) if file else ()
        yield Picture((name,), None, boxes, str(file or where)), file


def _without_image(folder: Path, root: Path) -> Iterator[Path]:
    """Label files of which the image is missing."""
    listing = list_images(folder)
    stems = {Path(name).with_suffix('') for name in (*listing.images, *listing.others)}
    for base in _label_folders(folder, root):
        for file in sorted(base.rglob('*.txt')) if base.is_dir() else ():
            stem = file.relative_to(base).with_suffix('')
            if not (stem in stems or file.name.startswith('.') or _NO_LABELS.match(stem.name)):
                yield file
