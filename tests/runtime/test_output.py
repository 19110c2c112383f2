"""Results that cannot be written: the reason is said, and nothing is left."""
from pathlib import Path

from shufflenet_runtime.errors import ConfigError, DataError
from shufflenet_runtime.output import DrawnImages, JSONList
from shufflenet_runtime.sources import Frame, Source

import cv2
import numpy as np
import pytest

IMAGE = np.zeros((40, 48, 3), np.uint8)


def draw(folder: Path, name: str, video: bool) -> None:
    source = Source('s', 1, 25.0 if video else None, [], [name], lambda: iter(()))
    drawings = DrawnImages(folder, [source])
    try:
        drawings.add(source, Frame('s', 0 if video else None, 0.0, lambda: IMAGE), IMAGE)
    except DataError:
        drawings.end_of_source(keep=False)
        raise


@pytest.mark.parametrize('video', [False, True], ids=['image', 'video'])
@pytest.mark.parametrize(
    'name, reason',
    [('n' * 250 + '.mp4', 'File name too long'), ('file/x.mp4', 'File exists')],
    ids=['long', 'below a file'],
)
def test_path_that_cannot_be_is_said(tmp_path, video, name, reason):
    (tmp_path / 'file').touch()
    name = name if video else name.replace('mp4', 'jpg')
    with pytest.raises(DataError, match=f'cannot write .*: {reason}'):
        draw(tmp_path, name, video)
    assert list(tmp_path.iterdir()) == [tmp_path / 'file']


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='needs /proc')
def test_folder_that_refuses_a_video_is_not_the_fault_of_opencv():
    with pytest.raises(DataError, match='cannot write /proc/x.mp4: No such file or directory'):
        draw(Path('/proc'), 'x.mp4', video=True)


def test_opencv_that_writes_no_video_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoWriter', lambda *_: cv2.VideoCapture())
    with pytest.raises(DataError, match='OpenCV here cannot write MP4 videos'):
        draw(tmp_path, 'x.mp4', video=True)
    assert not list(tmp_path.iterdir())


def test_name_of_json_that_is_too_long_is_said():
    with pytest.raises(ConfigError, match='File name too long. Name another.'):
        JSONList('n' * 300)
