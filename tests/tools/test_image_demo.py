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


def test_url_and_file_of_one_name_are_refused(photo):
    with pytest.raises(ConfigError, match='x.jpg: several images would have results of this name'):
        image_demo.find_images(['http://a/x.jpg', photo])


def test_drawing_never_replaces_its_image(photo, tmp_path, monkeypatch):
    arguments = [photo, 'config.py', 'checkpoint.pth', '--out-dir', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['image_demo.py', *arguments])
    with pytest.raises(ConfigError, match=r'the drawing would replace .*x\.jpg'):
        image_demo.main()
