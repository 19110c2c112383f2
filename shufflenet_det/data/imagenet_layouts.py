"""How ImageNet and its like lie on disk: class folders, flat folders, ground-truth files.

All reading goes through MMEngine's file backends. Lists of images are pairs of a path relative to
the folder of the split and a label, the index of a class.
"""
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

from mmengine.fileio import get, get_text
from mmengine.fileio.backends import BaseStorageBackend, LocalBackend
from mmengine.utils import is_abs

from ..common.errors import DataError, shorten

DEVKIT_TRUTH = 'ILSVRC2012_validation_ground_truth.txt'
LAYOUTS = (
    'Set the environment variable IMAGENET_ROOT (or data_root) to a folder that holds '
    'train/<class>/*.JPEG and val/<class>/*.JPEG, or a flat val/ILSVRC2012_val_*.JPEG with '
    f'val.txt or ILSVRC2012_devkit_t12/data/{DEVKIT_TRUTH} beside it. TINY_IMAGENET_ROOT names '
    'Tiny ImageNet as published: train/<wnid>/images and val/images with val_annotations.txt.'
)
Entries = list[tuple[str, int]]


def join(folder: str, name: str) -> str:
    """A path or URI below ``folder``; MMEngine's own needs a backend, and HTTP's cannot."""
    if not folder or is_abs(name):
        return name
    return f'{folder.rstrip("/")}/{name}' if name else folder


def can_list(backend: BaseStorageBackend) -> bool:
    """Whether a store can say which files it has; HTTP cannot."""
    return hasattr(backend, 'list_dir_or_file')


def list_folders(backend: BaseStorageBackend, folder: str) -> list[str]:
    """Sorted names of the folders in ``folder``; none if it does not exist."""
    try:
        names = list(backend.list_dir_or_file(folder, list_dir=True, list_file=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if not name.startswith('.'))


def list_images(
    backend: BaseStorageBackend, folder: str, extensions: Sequence[str]
) -> list[str]:
    """Sorted paths, relative to ``folder``, of the images in it and in its folders."""
    endings = tuple(extension.lower() for extension in extensions)
    if isinstance(backend, LocalBackend):
        files = _walk(folder)
    else:
        files = backend.list_dir_or_file(folder, list_dir=False, recursive=True)
    return sorted(file for file in files if file.lower().endswith(endings))


def _walk(folder: str) -> Iterator[str]:
    """What MMEngine's local backend lists; its relative paths take five times as long."""
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.')]
        start = os.path.join(here, '')[len(os.path.join(folder, '')) :]
        yield from (start + name for name in files if not name.startswith('.'))


def check_classes(classes: Sequence[str], source: str) -> tuple[str, ...]:
    """Classes as a tuple.

    Raises:
        DataError: there are none, or a name comes twice.
    """
    if twice := _repeated(classes):
        raise DataError(
            f'{source} names classes more than once: {shorten(twice)}. Give each class one name.'
        )
    if not classes:
        raise DataError(f'{source} has no classes. {LAYOUTS}')
    return tuple(classes)


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def scan_class_folders(
    backend: BaseStorageBackend, folder: str, classes: Sequence[str], extensions: Sequence[str]
) -> Entries:
    """Images of ``folder/<class>/``, class by class, by name.

    Raises:
        DataError: the folders are not those of ``classes``, or one has no image.
    """
    folders = set(list_folders(backend, folder))
    faults = (
        ('missing', [name for name in classes if name not in folders]),
        ('too many', sorted(folders - set(classes))),
    )
    found = [f'{len(names)} {what} ({shorten(names)})' for what, names in faults if names]
    if found:
        raise DataError(
            f'the class folders of {folder} are not the {len(classes)} classes of the config or '
            f'of the training folder: {"; ".join(found)}. Add or remove folders, or set classes.'
        )
    entries, empty = [], []
    for label, name in enumerate(classes):
        images = list_images(backend, join(folder, name), extensions)
        entries += [(f'{name}/{image}', label) for image in images]
        if not images:
            empty.append(name)
    if empty:
        raise DataError(
            f'{len(empty)} of {len(classes)} class folders in {folder} have no image: '
            f'{shorten(empty)}. Files that count end in {shorten(extensions, 12)}. Complete the '
            'folders or remove them.'
        )
    return entries


def read_label_file(path: str, classes: Sequence[str], backend_args: dict | None) -> Entries:
    """Lines ``image label``: a number is an index into ``classes``, anything else a class name.

    Raises:
        DataError: a line cannot be read, or its label is not among ``classes``.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    entries = []
    for number, line in enumerate(read_lines(path, backend_args), 1):
        where = f'{path}, line {number}'
        parts = line.rsplit(maxsplit=1)
        if len(parts) < 2:
            raise DataError(f'{where}: expected "image label", found {line!r}.')
        image, label = parts
        index = int(label) if label.isdecimal() else index_of.get(label)
        if index is None:
            raise DataError(f'{where}: class {label!r} is not among the {len(classes)} classes.')
        if index >= len(classes):
            raise DataError(
                f'{where}: label {index} is out of range: there are {len(classes)} classes, and '
                'labels count from 0.'
            )
        entries.append((image, index))
    return entries


def read_lines(path: str, backend_args: dict | None) -> list[str]:
    """Lines of a text file, stripped; empty lines at its end do not count."""
    try:
        # some editors write a byte order mark
        text = get_text(path, encoding='utf-8-sig', backend_args=backend_args)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'cannot read ground truth {path}: {error}.') from None
    return [line.strip() for line in text.rstrip().splitlines()]


def read_devkit_classes(truth: str, backend_args: dict | None) -> dict[int, str]:
    """Class names (wnids) by their ILSVRC2012 id, from ``meta.mat`` beside the ground truth.

    The ids 1 to 1000 are not in the order of the wnids.

    Raises:
        DataError: the file is missing or is none of the devkit's.
    """
    # scipy, which MMDetection brings, takes a while to import
    from scipy.io import loadmat

    path = truth.removesuffix(DEVKIT_TRUTH) + 'meta.mat'
    try:
        synsets = loadmat(BytesIO(get(path, backend_args=backend_args)), squeeze_me=True)['synsets']
        # ids above 1000 are inner nodes of WordNet
        return {
            int(synset['ILSVRC2012_ID']): str(synset['WNID'])
            for synset in synsets
            if synset['num_children'] == 0
        }
    # scipy has errors of its own for each kind of damage
    except Exception as error:
        raise DataError(
            f'cannot read {path}, which maps the ids in {truth} to classes '
            f'({type(error).__name__}: {error}). Unpack ILSVRC2012_devkit_t12.tar.gz again.'
        ) from None


def read_devkit(
    truth: str,
    wnids: dict[int, str],
    images: Sequence[str],
    classes: Sequence[str],
    backend_args: dict | None,
) -> Entries:
    """The devkit's ground truth: line k is the ILSVRC2012 id of ``ILSVRC2012_val_<k>``.

    Args:
        truth: path of ``ILSVRC2012_validation_ground_truth.txt``.
        wnids: classes by id, from :func:`read_devkit_classes`.
        images: names of the images in the folder.
        classes: classes in the order of labels.
        backend_args: of the file backend.

    Raises:
        DataError: a line is no id of a class.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    extension = os.path.splitext(images[0])[1] if images else '.JPEG'
    entries = []
    for number, line in enumerate(read_lines(truth, backend_args), 1):
        wnid = wnids.get(int(line)) if line.isdecimal() else None
        if wnid is None:
            raise DataError(
                f'{truth}, line {number}: {line!r} is not the id of a class, 1 to {len(wnids)}.'
            )
        if wnid not in index_of:
            raise DataError(
                f'{truth}, line {number}: {wnid} is not among the {len(classes)} classes of the '
                'config or of the training folder.'
            )
        entries.append((f'ILSVRC2012_val_{number:08d}{extension}', index_of[wnid]))
    return entries


def match_images(entries: Entries, images: Sequence[str], truth: str, folder: str) -> None:
    """Check that a ground truth and a folder speak of the same images.

    Raises:
        DataError: one names an image that the other lacks, or the ground truth names one twice.
    """
    named, present = {name for name, _ in entries}, set(images)
    faults = (
        ('images missing', sorted(named - present)),
        ('images without a label', sorted(present - named)),
        ('images named more than once', _repeated(name for name, _ in entries)),
    )
    found = [f'{len(names)} {what} ({shorten(names, 5)})' for what, names in faults if names]
    if found:
        raise DataError(
            f'{truth} ({len(entries)} lines) does not match the {len(present)} images in {folder}: '
            f'{"; ".join(found)}. Unpack the images again, or use the ground truth that belongs '
            'to them.'
        )
