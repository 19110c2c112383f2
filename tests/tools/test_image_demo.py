"""Results of tools/image_demo.py: each image has its own."""
import sys

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.tools import image_demo

import cv2
import numpy as np
import pytest


def test_images_behind_urls_stay_apart():
    near, far = 'http://a/x.jpg', 'http://b/x.jpg'
    assert image_demo.find_images([near]) == {near: 'x.jpg'}
    assert image_demo.find_images([near, far]) == {near: 'a/x.jpg', far: 'b/x.jpg'}


@pytest.fixture
def photo(tmp_path) -> str:
    (tmp_path / 'vis').mkdir()
    cv2.imwrite(str(tmp_path / 'vis' / 'x.jpg'), np.zeros((8, 8, 3), np.uint8))
    return str(tmp_path / 'vis' / 'x.jpg')


def test_url_and_file_of_one_name_stay_apart(photo):
    assert image_demo.find_images(['http://a/b/x.jpg', photo]) == {
        'http://a/b/x.jpg': 'a/b/x.jpg', photo: 'x.jpg'
    }  # fmt: skip


def test_names_of_urls_stay_in_the_folder_and_are_those_of_drawings():
    near, far = 'http://a/../../x.pgm', 'http://b//x.pgm'
    assert image_demo.find_images([near, far]) == {near: 'a/x.pgm.jpg', far: 'b/x.pgm.jpg'}
    with pytest.raises(ConfigError, match='several images would have results of this name'):
        image_demo.find_images(['http://a/x.jpg', 'https://a/x.jpg'])


@pytest.mark.parametrize('folder_too', [False, True], ids=['its own', 'that of another'])
def test_drawing_never_replaces_an_image(photo, tmp_path, monkeypatch, folder_too):
    sources = [photo]
    if folder_too:
        # as after a first run, whose drawings are images of the folder now
        (tmp_path / 'x.jpg').write_bytes((tmp_path / 'vis' / 'x.jpg').read_bytes())
        sources = [str(tmp_path)]
    arguments = [*sources, 'config.py', 'checkpoint.pth', '--out-dir', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['image_demo.py', *arguments])
    with pytest.raises(ConfigError, match=r'the drawing would replace .*vis/x\.jpg'):
        image_demo.main()
