"""Reads a data set in whichever layout it is."""
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..common.errors import DataError
from ..common.faults import Faults, repeated
from .coco_json import read_coco
from .records import AnnotatedDataSet, AnnotatedImage
from .voc_xml import read_voc
from .yolo import read_yolo
from .yolo_file import text_of_file

YAML = ('.yaml', '.yml')
_ROBOFLOW = '_annotations.coco.json'
_VAL_FOLDERS = ('valid', 'val', 'validation')


def read_annotations(images: Path, annotations: Path | None) -> AnnotatedDataSet:
    """Classes and annotated images of a data set.

    Args:
        images: folder of the images, where ``annotations`` are given. Alone it is a ``data.yaml``
            of YOLO, or a folder that holds one, or ``classes.txt``, ``images`` and ``labels``, or
            COCO files as Roboflow exports them (``train/_annotations.coco.json``, ``valid/...``),
            or Pascal VOC's ``Annotations``, ``JPEGImages`` and ``ImageSets/Main``, which divides
            them.
        annotations: a COCO JSON file, a folder of Pascal VOC XML files, or a ``data.yaml``.

    Raises:
        DataError: nothing of that is there, or it is damaged or contradicts itself.
    """
    if annotations is None:
        return _read_whole(images)
    if annotations.suffix.lower() in YAML:
        return read_yolo(annotations)
    read, notes = read_coco, []
    if annotations.is_dir():
        read = read_voc
        whole = annotations.parent
        if images.parent == whole and (whole / 'ImageSets' / 'Main' / 'train.txt').is_file():
            notes = [f'ImageSets/Main is not used: {whole} alone, without {annotations.name}, is']
    classes, pictures = read(annotations)
    return AnnotatedDataSet(images, (), classes, pictures, None, notes)


def _read_whole(path: Path) -> AnnotatedDataSet:
    if path.is_file() and path.suffix.lower() in YAML:
        return read_yolo(path)
    if not path.is_dir():
        raise DataError(f'not found: {path}. Name a folder of images and their annotations.')
    files = [path / name for name in ('data.yaml', 'data.yml', 'dataset.yaml')]
    files += sorted(file for file in path.iterdir() if file.suffix.lower() in YAML)
    existing = [file for file in files if file.is_file()]
    if existing:
        return read_yolo(existing[0])
    # as Label Studio exports YOLO
    if (path / 'classes.txt').is_file() and (path / 'labels').is_dir():
        return read_yolo(path / 'classes.txt')
    if (path / 'train' / _ROBOFLOW).is_file():
        return _read_roboflow(path)
    if (path / 'ImageSets' / 'Main').is_dir():
        return _read_divided_voc(path)
    raise DataError(
        f'{path} alone tells nothing of its annotations: it has no data.yaml, no classes.txt with '
        f'labels, no train/{_ROBOFLOW} and no ImageSets/Main. Name the annotations behind it: a '
        'COCO JSON file, a folder of Pascal VOC XML files, or a data.yaml.'
    )


def _read_roboflow(folder: Path) -> AnnotatedDataSet:
    val = next((n for n in _VAL_FOLDERS if (folder / n / _ROBOFLOW).is_file()), None)
    names: dict[str, None] = {}
    parts = []
    for part in filter(None, ('train', val)):
        classes, pictures = read_coco(folder / part / _ROBOFLOW)
        names |= dict.fromkeys(classes)
        parts.append([_moved(picture, f'{part}/') for picture in pictures])
    notes = ['test is left out'] if (folder / 'test' / _ROBOFLOW).is_file() else []
    folders = tuple(folder / part for part in filter(None, ('train', val)))
    return AnnotatedDataSet(
        folder, folders, tuple(names), parts[0], parts[1] if val else None, notes
    )


def _moved(picture: AnnotatedImage, prefix: str) -> AnnotatedImage:
    return replace(
        picture,
        names=tuple(prefix + name for name in picture.names),
        where=f'{picture.where} of {prefix}{_ROBOFLOW}',
    )


def _read_divided_voc(folder: Path) -> AnnotatedDataSet:
    lists = folder / 'ImageSets' / 'Main'
    images = _named(folder, ('JPEGImages', 'images'))
    classes, pictures = read_voc(_named(folder, ('Annotations',)))
    train, val = lists / 'train.txt', lists / 'val.txt'
    if not val.is_file() and (lists / 'trainval.txt').is_file():
        train, val = lists / 'trainval.txt', lists / 'test.txt'
    if not train.is_file():
        raise DataError(f'{lists} has no train.txt and no trainval.txt: it divides nothing.')
    faults = Faults()
    by_stem = {Path(picture.where).with_suffix('').as_posix(): picture for picture in pictures}
    parts = [_listed(file, by_stem, faults) for file in (train, val) if file.is_file()]
    for stem in parts[0].keys() & (parts[1].keys() if parts[1:] else ()):
        faults.add('image in both parts. Take it out of one', f'{train} and {val}: {stem}')
    faults.check(lists)
    rest = len(by_stem.keys() - set().union(*parts))
    notes = [f'annotated images that {train.name} and {val.name} do not list, left out: {rest}']
    read = [list(part.values()) for part in parts]
    return AnnotatedDataSet(
        images, (), classes, read[0], read[1] if read[1:] else None, notes if rest else []
    )


def _named(folder: Path, names: Sequence[str]) -> Path:
    """A folder in another, in any case of its letters."""
    known = {name.casefold() for name in names}
    found = [entry for entry in sorted(folder.iterdir()) if entry.name.casefold() in known]
    if not found:
        raise DataError(f'{folder} has ImageSets/Main, and no folder {" or ".join(names)}.')
    return found[0]


def _listed(
    file: Path, by_stem: dict[str, AnnotatedImage], faults: Faults
) -> dict[str, AnnotatedImage]:
    """Pictures by the stems that a file of ImageSets/Main lists."""
    stems, found = [], {}
    for number, line in enumerate(map(str.strip, text_of_file(file).splitlines()), 1):
        if not line:
            continue
        # a name may have blanks and quotes, and a class's own list has a second column
        whole = (line, line.rsplit(None, 1)[0])
        written = (*whole, *(each.strip('\'"') for each in whole))
        stem = next((each for each in written if each in by_stem), line)
        stems.append(stem)
        if stem in by_stem:
            found[stem] = by_stem[stem]
        else:
            faults.add('listed image without an XML file', f'{file}, line {number}: {stem}')
    for stem in repeated(stems):
        faults.add('image that is listed twice. Take out one line', f'{file}: {stem}')
    return found
