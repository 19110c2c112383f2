"""Which files of a folder are images, and what to call what is made of them."""
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError, shorten
from .images import OTHER_SUFFIXES, SUFFIXES


@dataclass(frozen=True)
class Listing:
    """The files of a folder and of the folders in it, sorted, by their paths below it.

    Attributes:
        images: that can be read.
        others: images of formats that cannot.
        leftovers: ``._NAME``, which macOS leaves beside the image ``NAME`` and which is none.
    """

    images: list[str]
    others: list[str]
    leftovers: list[str]

    def left_out(self) -> list[str]:
        """What was left out and why, a phrase for each reason."""
        reasons = (
            ('of formats that are not read. Convert them to JPEG or PNG', self.others),
            ('that macOS has left and that are no images', self.leftovers),
        )
        return [f'{len(files)} files {why}: {shorten(files, 5)}' for why, files in reasons if files]


def list_images(folder: str | Path) -> Listing:
    """The images below a folder. Hidden files and folders do not count."""
    listing = Listing([], [], [])
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            path = Path(here, name).relative_to(folder).as_posix()
            if name.startswith('.'):
                if name.startswith('._') and suffix in SUFFIXES:
                    listing.leftovers.append(path)
            elif suffix in SUFFIXES:
                listing.images.append(path)
            elif suffix in OTHER_SUFFIXES:
                listing.others.append(path)
    for files in (listing.images, listing.others, listing.leftovers):
        files.sort()
    return listing


def require_images(folder: str | Path) -> Listing:
    """Like :func:`list_images`, of a folder that must have some.

    Raises:
        DataError: it has none.
    """
    listing = list_images(folder)
    if not listing.images:
        reasons = ''.join(f' It has {reason}.' for reason in listing.left_out())
        raise DataError(
            f'no image in folder {folder}: it needs files {", ".join(SUFFIXES)}.{reasons}'
        )
    return listing


def below(files: Sequence[Path]) -> list[str]:
    """Paths below the deepest folder that holds all of some files, in their order."""
    paths = [Path(os.path.abspath(file)) for file in files]
    root = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(root).as_posix() for path in paths]


def without_clashes(stems: Sequence[str], names: Sequence[str]) -> list[str]:
    """For each file its stem, or its name where several files have the stem or one is named so."""
    count = Counter([*stems, *names])
    return [stem if count[stem] == 1 else name for stem, name in zip(stems, names, strict=True)]


def is_utf8(text: str | Path) -> bool:
    """Whether a name is text. Names on a disk are bytes, and OpenCV crashes on others."""
    try:
        str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Text with ``\\udce9`` for what is none, as in the name of a file in another encoding."""
    return text.encode(errors='backslashreplace').decode()
