"""Where images come from: files, folders, videos, cameras."""
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from .errors import ConfigError, DataError
from .files import below, is_utf8, require_images
from .images import read_image

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')
CAMERA = 'camera:'


@dataclass(frozen=True)
class Frame:
    """An image that can be read.

    Attributes:
        source: file, or video, that it comes from.
        number: of the frame of a video, from 0; None for an image file.
        seconds: from the start of a video.
        read: gives its pixels (H, W, 3), blue, green, red.
        picture: index of its drawing in those of its source.
    """

    source: str
    number: int | None
    seconds: float | None
    read: Callable[[], np.ndarray]
    picture: int = 0

    @property
    def name(self) -> str:
        """For messages."""
        return self.source if self.number is None else f'{self.source}, frame {self.number}'


@dataclass(frozen=True)
class Source:
    """A file or a stream of images.

    Attributes:
        name: for reports.
        count: number of images; None where nobody knows.
        fps: frames a second of a video; None for files of images.
        files: that are read, none of a camera or a stream.
        pictures: names of the files that drawings of it go to, in the order of the images; one of
            a video. A folder's are those of its images, with the folders that they are in.
        frames: gives the images, once.
        left_out: what of a folder was left out, a phrase for each reason.
    """

    name: str
    count: int | None
    fps: float | None
    files: Sequence[Path]
    pictures: Sequence[str]
    frames: Callable[[], Iterator[Frame]]
    left_out: Sequence[str] = ()


def open_sources(
    names: Sequence[str], most_frames: int | None = None, upright: bool = True
) -> list[Source]:
    """Sources by their names.

    Args:
        names: image files, folders of images, whose folders count, too, video files, ``camera:0``
            and other numbers of cameras, URLs of streams.
        most_frames: of a video or camera; None for all.
        upright: of images, as :func:`.images.read_image` has it.

    Raises:
        DataError: one does not exist, is an empty folder, or cannot be opened.
        ConfigError: the number of a camera is none, or no frames are wanted.
    """
    if most_frames is not None and most_frames < 1:
        raise ConfigError(f'{most_frames} frames of a video: it must be 1 or more.')
    sources = [_open_source(name, most_frames, upright) for name in names]
    count = Counter(picture for source in sources for picture in source.pictures)
    if max(count.values(), default=0) > 1:
        return _told_apart(sources)
    return sources


def _told_apart(sources: Sequence[Source]) -> list[Source]:
    """The sources with drawings by the paths of their files below the folder of them all.

    Cameras and streams have none, and are numbered.
    """
    files = [file for source in sources for file in source.files]
    paths = iter(below(files) if files else ())
    renamed = []
    for number, source in enumerate(sources, 1):
        pictures = [next(paths) for _ in source.files]
        if not pictures:
            pictures = [f'{Path(source.pictures[0]).stem}-{number}.mp4']
        elif source.fps is None:
            pictures = list(map(drawing_name, pictures))
        else:
            pictures = [f'{pictures[0]}.mp4']
        renamed.append(replace(source, pictures=pictures))
    return renamed


def drawing_name(path: str) -> str:
    """The name of an image's drawing: its own, as JPEG where its format cannot be written so."""
    suffix = Path(path).suffix
    known = is_utf8(suffix) and suffix and cv2.haveImageWriter(f'a{suffix}')
    # these have grey alone
    return path if known and suffix.lower() not in ('.pgm', '.pbm') else f'{path}.jpg'


def _open_source(name: str, most_frames: int | None, upright: bool) -> Source:
    path = Path(name)
    if name.startswith(CAMERA):
        number = name.removeprefix(CAMERA)
        if not number.isdigit():
            raise ConfigError(f'{name}: write the number of the camera, as in {CAMERA}0.')
        return _video(name, int(number), most_frames)
    if '://' in name:
        return _video(name, name, most_frames)
    if path.is_dir():
        listing = require_images(path)
        return _images(name, path, listing.images, upright, listing.left_out())
    if not path.exists():
        raise DataError(f'not found: {path}')
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return _video(name, str(path), most_frames)
    return _images(name, path.parent, [path.name], upright)


def _images(
    name: str, folder: Path, names: Sequence[str], upright: bool, left_out: Sequence[str] = ()
) -> Source:
    files = [folder / each for each in names]

    def frames() -> Iterator[Frame]:
        for number, file in enumerate(files):
            read = partial(read_image, file, upright)
            yield Frame(str(file), None, None, read, number)

    pictures = list(map(drawing_name, names))
    return Source(name, len(files), None, files, pictures, frames, left_out)


def _video(name: str, where: str | int, most_frames: int | None) -> Source:
    if not is_utf8(name):
        raise DataError(f'cannot open {name}: OpenCV opens no video whose path is not UTF-8.')
    capture = cv2.VideoCapture(where)
    if not capture.isOpened():
        raise DataError(f'cannot open {name}: it is no video that OpenCV can read, or is in use.')
    fps = capture.get(cv2.CAP_PROP_FPS)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    fps = fps if 0 < fps < 1000 else 25.0

    def frames() -> Iterator[Frame]:
        try:
            for number, image in enumerate(islice(_read_all(capture), most_frames)):
                yield Frame(name, number, number / fps, lambda image=image: image)
        finally:
            capture.release()

    known = count if count > 0 and not isinstance(where, int) else None
    if most_frames is not None:
        known = min(most_frames, known or most_frames)
    picture = f'{Path(name.replace(CAMERA, "camera-").rstrip("/")).stem}.mp4'
    files = [Path(where)] if not isinstance(where, int) and '://' not in where else []
    return Source(name, known, fps, files, [picture], frames)


def _read_all(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        there, image = capture.read()
        if not there:
            return
        yield image
