"""Reads data sets in YOLO's layout: ``data.yaml``, images, and a label file for each image.

The layout is that of Ultralytics, which Roboflow, CVAT and Label Studio export, too. Labels are
parts of the width and height of their image, so that only :mod:`.check` knows them in pixels.
"""
import re
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import commonpath, normpath
from pathlib import Path

from shufflenet_runtime.files import list_images

import yaml

from ..common.errors import DataError, shorten
from ..common.faults import Faults
from .records import Annotated, Picture
from .yolo_labels import LabelReader

# text files that are beside labels and are none
_NO_LABELS = re.compile(r'(classes|labels|obj|notes|predefined_classes|train|val|valid|test)$'
                        r'|readme|licen[cs]e|requirements', re.IGNORECASE)  # fmt: skip
_VAL_KEYS = ('val', 'valid', 'validation')


@dataclass(frozen=True)
class Part:
    """The images of training or of validation.

    Attributes:
        images: absolute paths, and where each was named.
        folders: that they are in; labels lie in folders of the same shape.
    """

    images: dict[Path, str]
    folders: tuple[Path, ...]


def read_yolo(path: Path) -> Annotated:
    """Classes and images of a ``data.yaml``.

    Boxes and outlines may come in one file; an outline becomes its box, and is kept. An image with
    an empty label file or without one is a negative.

    Raises:
        DataError: it is no such file, its paths do not exist (the message names those that were
            tried), or labels are wrong: the message names all, by file and line.
    """
    about = _DataFile(path)
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


class _DataFile:
    """What ``data.yaml`` says.

    Attributes:
        root: the folder that its paths are below, if it is right.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # all as text: to YAML the class `no` is a truth value
            content = yaml.load(path.read_bytes(), Loader=yaml.BaseLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, 'problem_mark', None)
            where = f', line {mark.line + 1}' if mark else ''
            hint = ''
            if 'escape' in str(error):
                hint = ' In double quotes a backslash is no part of a path: write / in its place.'
            reason = getattr(error, 'problem', None) or str(error)
            raise DataError(f'cannot read {path}{where}: {reason}.{hint}') from None
        if not isinstance(content, dict):
            raise DataError(f'{path} is no data.yaml of YOLO: it has no keys such as train, names.')
        self._content = content
        self._lines = path.read_bytes().decode(errors='replace').splitlines()
        here = path.absolute().parent
        written = self._path_of(self.text_of('path') or '.')
        self._bases = [Path(normpath(b)) for b in (here / written, here, written.absolute())]
        self.root = next((base for base in self._bases if base.is_dir()), here)

    def text_of(self, key: str) -> str:
        """A value, or nothing."""
        value = self._content.get(key, '')
        return '' if not isinstance(value, str) or value in ('~', 'null') else value

    def line_of(self, key: str) -> str:
        """Where a key stands, for messages."""
        pattern = re.compile(rf'\s*["\']?{key}["\']?\s*:')
        numbers = (n for n, line in enumerate(self._lines, 1) if pattern.match(line))
        return f'{self.path}, line {next(numbers, 1)}'

    @staticmethod
    def _path_of(text: str) -> Path:
        return Path(text.replace('\\', '/'))

    def names(self) -> tuple[str, ...]:
        """Names of the classes, by number.

        Raises:
            DataError: there are none, a number has none, or two have one.
        """
        written, where = self._content.get('names'), self.line_of('names')
        if isinstance(written, dict):
            if sorted(written, key=lambda k: (len(k), k)) != [str(n) for n in range(len(written))]:
                raise DataError(
                    f'{where}: names must have the numbers 0 to {len(written) - 1}, they have '
                    f'{shorten(written)}.'
                )
            written = [written[str(number)] for number in range(len(written))]
        if not isinstance(written, list) or not written or not all(
            isinstance(name, str) and name for name in written
        ):
            raise DataError(f'{where}: give names, as a list or by number; here is {written!r}.')
        twice = sorted({name for name in written if written.count(name) > 1})
        if twice:
            raise DataError(f'{where}: two classes have one name: {shorten(twice)}.')
        count = self.text_of('nc')
        if count and count != str(len(written)):
            raise DataError(f'{self.line_of("nc")}: nc is {count}, and there are {len(written)} '
                            'names. Correct one of the two.')  # fmt: skip
        return tuple(written)

    def keypoints(self) -> int:
        """Numbers behind each box: points times numbers of each, of data sets of poses."""
        shape = self._content.get('kpt_shape') or []
        return int(shape[0]) * int(shape[1]) if len(shape) == 2 else 0

    def part(self, keys: tuple[str, ...], faults: Faults) -> Part | None:
        """The images that a key names, by folders or by lists of files; None without the key."""
        key = next((key for key in keys if self._content.get(key) not in (None, '', [])), None)
        if key is None:
            return None
        written, where = self._content[key], self.line_of(key)
        images: dict[Path, str] = {}
        folders: dict[Path, None] = {}
        for text in [written] if isinstance(written, str) else written:
            found = self._find(text)
            if found is None:
                tried = shorten(self._candidates(text))
                faults.add(
                    'path that does not exist. Correct it, or `path`, which it is below',
                    f'{where}: {key}: {text} (tried {tried})',
                )
            elif found.is_dir():
                names = list_images(found).images
                if not names:
                    faults.add('folder without an image', f'{where}: {key}: {found}')
                images |= {found / name: where for name in names}
                folders[found] = None
            else:
                for image, line in self._listed(found, faults):
                    if image in images:
                        faults.add(
                            'image that is listed twice. Take out one of the two',
                            f'{line}: {image} (and {images[image]})',
                        )
                    images[image] = line
                    folders[image.parent] = None
        return Part(images, tuple(folders))

    def _candidates(self, text: str) -> list[Path]:
        """Where a path may lead, below `path` or beside the file.

        Roboflow writes a `../` too many, and files come from other machines.
        """
        path = self._path_of(text)
        # not resolved: a link to a folder of images stands for the place that it is in
        tried = [base / path for base in self._bases]
        parts = [part for part in path.parts if part != '..']
        if len(parts) < len(path.parts):
            tried += [base.joinpath(*parts) for base in self._bases]
        tried += self._from_elsewhere(path)
        return list(dict.fromkeys(Path(normpath(each)) for each in tried))

    def _from_elsewhere(self, path: Path) -> list[Path]:
        """Where the end of an absolute path of another machine may be on this one."""
        if not path.is_absolute() and not re.match('[A-Za-z]:', path.as_posix()):
            return []
        parts = path.parts[1:]
        return [
            base.joinpath(*parts[start:])
            for start in range(len(parts) - 1)
            for base in self._bases
        ]

    def _find(self, text: str) -> Path | None:
        return next((path for path in self._candidates(text) if path.exists()), None)

    def _listed(self, file: Path, faults: Faults) -> Iterator[tuple[Path, str]]:
        """The images of a list, and where each stands."""
        try:
            lines = file.read_text(encoding='utf-8-sig').splitlines()
        except UnicodeDecodeError:
            faults.add('list of images that is not UTF-8 text. Save it as UTF-8', str(file))
            return
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            path, where = self._path_of(line.strip()), f'{file}, line {number}'
            tried = [Path(normpath(base / path)) for base in (file.parent, *self._bases)]
            tried += self._from_elsewhere(path)
            found = next((each for each in tried if each.is_file()), None)
            if found is None:
                faults.add(
                    'listed image that does not exist',
                    f'{where}: {line.strip()} (tried {shorten(dict.fromkeys(tried), 3)})',
                )
            else:
                yield found, where


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
