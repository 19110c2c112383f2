"""Results as files: pictures, videos and JSON, each as a whole or not at all."""
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import ConfigError, DataError
from .files import is_utf8
from .images import reason_of
from .sources import Frame, Source


class JSONList:
    """A JSON file with a list, to which one entry after another is added.

    Raises:
        ConfigError: it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._partial = _partial(self.path)
        # unlike the path's own, it says no of a path that cannot be looked at
        if os.path.isdir(path):
            raise ConfigError(f'cannot write {path}: it is a folder. Name another.')
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open('w', encoding='utf-8')
        except OSError as error:
            raise ConfigError(f'cannot write {path}: {error.strerror}. Name another.') from None
        self._before = '[\n'

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add an entry.

        Raises:
            DataError: it cannot be written, as on a full disk.
        """
        text = json.dumps(entry, ensure_ascii=False)
        # the name of a file may be no text; in JSON's own writing it can be read back
        with _said(self.path):
            self._file.write(self._before + (text if is_utf8(text) else json.dumps(entry)))
        self._before = ',\n'

    def close(self, keep: bool) -> None:
        """Give the file its name, or remove it.

        Raises:
            DataError: the end of it cannot be written; then it is removed.
        """
        written = False
        try:
            if keep:
                with _said(self.path):
                    self._file.write('\n]\n' if self._before != '[\n' else '[]\n')
                    self._file.close()
                written = True
        finally:
            # what it could not write before does not matter any more
            with suppress(OSError):
                self._file.close()
            _finish(self._partial, self.path, written)


class DrawnImages:
    """Drawn images in a folder: a file for each image, a video for each video.

    Args:
        folder: to write to; it is made.
        sources: whose pictures will come.

    Raises:
        ConfigError: the folder cannot be made, or a picture would replace another or its source.
    """

    def __init__(self, folder: str | Path, sources: Sequence[Source]) -> None:
        self._folder = Path(folder)
        names = Counter(name for source in sources for name in source.pictures)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ConfigError(
                f'{folder} would have two pictures named {twice[0]}: draw the sources one after '
                f'another, each with a folder of its own.'
            )
        drawings = {(self._folder / name).resolve() for name in names}
        for file in (file for source in sources for file in source.files):
            if file.resolve() in drawings:
                raise ConfigError(f'the drawing would replace {file}: name another folder.')
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f'cannot make the folder {folder}: {error.strerror}.') from None
        self._video: tuple[cv2.VideoWriter, Path, Path] | None = None

    def add(self, source: Source, frame: Frame, image: np.ndarray) -> None:
        """Add a picture.

        Raises:
            DataError: it cannot be written.
        """
        if frame.number is not None:
            self._add_to_video(source, image)
            return
        path = self._folder / source.pictures[frame.picture]
        partial = _partial(path)
        try:
            encoded, content = cv2.imencode(path.suffix, image)
            if not encoded:
                height, width = image.shape[:2]
                raise DataError(f'cannot write {path}: {width}x{height} pixels do not fit into it.')
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            os.replace(partial, path)
        except (OSError, cv2.error) as error:
            # a path that refused to be written refuses this, too
            with suppress(OSError):
                partial.unlink()
            reason = error.strerror if isinstance(error, OSError) else reason_of(error)
            raise DataError(f'cannot write {path}: {reason}.') from None

    def _add_to_video(self, source: Source, image: np.ndarray) -> None:
        if self._video is None:
            path = self._folder / source.pictures[0]
            if not is_utf8(path):
                raise DataError(f'cannot write {path}: OpenCV writes no video to such a path.')
            partial = _partial(path)
            # OpenCV does not say why it opens no file
            with _said(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                partial.touch()
            writer = cv2.VideoWriter(
                str(partial), cv2.VideoWriter_fourcc(*'mp4v'), source.fps, image.shape[1::-1]
            )
            self._video = writer, partial, path
            if not writer.isOpened():
                raise DataError(f'cannot write {path}: OpenCV here cannot write MP4 videos.')
        self._video[0].write(image)

    def end_of_source(self, keep: bool) -> None:
        """Give a video its name, or remove it."""
        if self._video:
            writer, partial, path = self._video
            writer.release()
            _finish(partial, path, keep)
            self._video = None


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What hinders a file from being written, as an error for the user."""
    try:
        yield
    except OSError as error:
        raise DataError(f'cannot write {path}: {error.strerror}.') from None


def _partial(path: Path) -> Path:
    # with the suffix at its end, by which OpenCV knows what to write
    return path.with_name(f'.{os.getpid()}.{path.name}')


def _finish(partial: Path, path: Path, keep: bool) -> None:
    try:
        if keep:
            with _said(path):
                os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
