"""Tiny ImageNet as it is published.

``train/<wnid>/images/*.JPEG`` beside ``train/<wnid>/<wnid>_boxes.txt``, which lists them;
``val/images`` with ``val/val_annotations.txt``; ``wnids.txt`` with the classes and ``words.txt``
with names for all of WordNet. Both lists have a box an image, which classification does not use.
"""
from collections.abc import Sequence

from mmengine.fileio.backends import BaseStorageBackend, LocalBackend

from ..common.errors import DataError, shorten
from .imagenet_layouts import Entries, join, list_folders, list_images, read_lines

ANNOTATIONS = '_annotations.txt'
IMAGES = 'images'
_AGAIN = 'Unpack the archive again.'


def find_annotations(backend: BaseStorageBackend, folder: str, split: str) -> str | None:
    """``<split>_annotations.txt`` of a folder whose images lie in ``images``; None for others.

    Raises:
        DataError: the images have no annotations.
    """
    folders = list_folders(backend, folder)
    path = join(folder, split + ANNOTATIONS)
    if set(folders) <= {IMAGES} and backend.exists(path):
        return path
    if folders == [IMAGES]:
        raise DataError(
            f'the images in {folder}/{IMAGES} have no labels: there is no {path}. If this is the '
            f'test set of Tiny ImageNet, use val; else unpack the archive again.'
        )
    return None


def read_annotations(path: str, classes: Sequence[str], backend_args: dict | None) -> Entries:
    """Lines ``image wnid x y x y``, separated by tabs.

    Raises:
        DataError: a line cannot be read, or a class is not among ``classes``.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    entries, unknown = [], {}
    for number, line in enumerate(read_lines(path, backend_args), 1):
        parts = line.split('\t')
        if len(parts) < 2:
            raise DataError(
                f'{path}, line {number}: expected image, wnid and box with tabs between, found '
                f'{line!r}. {_AGAIN}'
            )
        image, wnid = parts[:2]
        if wnid not in index_of:
            unknown.setdefault(wnid, number)
        entries.append((f'{IMAGES}/{image}', index_of.get(wnid, -1)))
    if unknown:
        wnid, number = next(iter(unknown.items()))
        raise DataError(
            f'{len(unknown)} classes of {path} ({shorten(unknown)}; {wnid} in line {number}) are '
            f'not among the {len(classes)} of the config or of the training folder. {_AGAIN}'
        )
    return entries


def check_listed_images(
    backend: BaseStorageBackend,
    folder: str,
    classes: Sequence[str],
    extensions: Sequence[str],
    backend_args: dict | None,
) -> None:
    """Compare ``<wnid>/images`` with ``<wnid>_boxes.txt``, where class folders have such lists.

    Raises:
        DataError: a list or a folder of images is missing, or an image is, or is not listed.
    """
    # to ask for each of ImageNet's 1000 classes takes a remote store a while
    asked = classes if isinstance(backend, LocalBackend) else classes[:1]
    if not any(backend.exists(_boxes(folder, name)) for name in asked):
        return
    faults: dict[str, list[str]] = {}
    # what else is wrong with the folders, the comparison with the classes says
    for name in sorted(set(classes) & set(list_folders(backend, folder))):
        listed, place = _boxes(folder, name), join(folder, name)
        if not backend.exists(listed):
            faults.setdefault('class folders without <wnid>_boxes.txt', []).append(name)
        if IMAGES not in list_folders(backend, place):
            faults.setdefault(f'class folders without `{IMAGES}`', []).append(name)
        elif backend.exists(listed):
            named = {line.split('\t')[0] for line in read_lines(listed, backend_args)}
            present = set(list_images(backend, join(place, IMAGES), extensions))
            for what, names in (
                ('images that are listed and missing', named - present),
                ('images that are not listed', present - named),
            ):
                faults.setdefault(what, []).extend(sorted(names))
    found = [
        f'{len(names)} {what} ({shorten(names, 5)})' for what, names in faults.items() if names
    ]
    if found:
        raise DataError(
            f'{folder} is not what its lists <wnid>/<wnid>_boxes.txt say: {"; ".join(found)}. '
            f'{_AGAIN}'
        )


def _boxes(folder: str, wnid: str) -> str:
    return join(folder, f'{wnid}/{wnid}_boxes.txt')


def read_wnids(path: str, train: Sequence[str], backend_args: dict | None) -> list[str]:
    """The classes of ``wnids.txt``, sorted.

    Args:
        path: of the file.
        train: folders of the training set; none if it is not there.
        backend_args: of the file backend.

    Raises:
        DataError: the training set has other classes.
    """
    wnids = sorted(read_lines(path, backend_args))
    missing, surplus = sorted(set(wnids) - set(train)), sorted(set(train) - set(wnids))
    faults = (('missing in train', missing), ('not listed', surplus))
    found = [f'{len(names)} {what} ({shorten(names)})' for what, names in faults if names]
    if train and found:
        raise DataError(
            f'the training folder does not have the {len(wnids)} classes of {path}: '
            f'{"; ".join(found)}. Unpack the archive again, or set classes.'
        )
    return wnids


def read_names(path: str, classes: Sequence[str], backend_args: dict | None) -> tuple[str, ...]:
    """Names for people from ``words.txt``, lines ``wnid names``; of a class not in it the wnid.

    Of several names, separated by commas, the first.

    Raises:
        DataError: the file cannot be read.
    """
    words = dict(line.partition('\t')[::2] for line in read_lines(path, backend_args))
    return tuple(words.get(wnid, wnid).split(',')[0] for wnid in classes)
