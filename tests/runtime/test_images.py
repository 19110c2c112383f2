"""Reading and resizing, against what MMDetection and torchvision do in training."""
from shufflenet_det.data import CheckedLoadImageFromFile, ResizeCenterCrop
from shufflenet_runtime.errors import DataError
from shufflenet_runtime.images import read_image
from shufflenet_runtime.resizing import input_size, resize_image

import cv2
import mmcv
import numpy as np
import pytest
import torch

SHAPES = [(480, 640), (333, 500), (640, 427), (100, 100), (37, 900), (64, 64), (257, 256)]


def noise(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize('shape', SHAPES)
def test_resizing_is_that_of_training(shape):
    image = noise(shape)
    for long, short in ((500, 300), (1000, 600), (300, 500)):
        rule = dict(rule='fit', long=max(long, short), short=min(long, short))
        assert (resize_image(image, rule) == mmcv.imrescale(image, (long, short))).all()
    rule = dict(rule='exact', width=123, height=77)
    assert (resize_image(image, rule) == mmcv.imresize(image, (123, 77))).all()
    rule['interpolation'] = 'bilinear_exact'
    expected = mmcv.imresize(image, (123, 77), interpolation='bilinear_exact')
    assert (resize_image(image, rule) == expected).all()
    assert resize_image(image, None) is image
    for short, crop in ((64, 56), (65, 56), (37, 37)):
        expected = ResizeCenterCrop(short, crop)(torch.from_numpy(image.transpose(2, 0, 1).copy()))
        found = resize_image(image, dict(rule='crop', short=short, crop=crop))
        assert (found == expected.numpy().transpose(1, 2, 0)).all()


PADS = [{}, dict(divisor=32), dict(width=640, height=640), dict(square=True, divisor=64)]


@pytest.mark.parametrize('pad', [pad and dict(pad, values=[1, 2, 3]) for pad in PADS])
@pytest.mark.parametrize(
    'rule',
    [
        dict(rule='keep'),
        dict(rule='fit', long=500, short=300),
        dict(rule='exact', width=123, height=77),
    ],
    ids=lambda rule: rule['rule'],
)
def test_size_of_the_input_is_known_before(rule, pad):
    rule = dict(rule, pad=pad)
    for shape in SHAPES:
        expected = resize_image(noise(shape), rule).shape[:2]
        assert input_size(rule, shape) == expected
        assert input_size(rule) == (expected if rule['rule'] == 'exact' else None)


def test_size_of_the_input_without_a_rule_and_of_crops():
    assert input_size(None, (30, 40)) == (30, 40) and input_size(None) is None
    crop = dict(rule='crop', short=64, crop=56)
    assert input_size(crop, (30, 40)) == input_size(crop) == (56, 56)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.bmp'])
def test_reading_is_that_of_training(tmp_path, suffix):
    path = str(tmp_path / f'a{suffix}')
    cv2.imwrite(path, noise((30, 40)))
    expected = CheckedLoadImageFromFile()(dict(img_path=path))['img']
    assert (read_image(path) == expected).all()


def test_grey_and_transparent_images_have_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((4, 5), 7, np.uint8))
    assert (read_image(tmp_path / 'grey.png') == 7).all()
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.full((4, 5, 4), 9, np.uint8))
    assert read_image(tmp_path / 'alpha.png').shape == (4, 5, 3)


def test_unreadable_images_are_named(tmp_path):
    path = tmp_path / 'a.jpg'
    with pytest.raises(DataError, match=r'a\.jpg: No such file'):
        read_image(path)
    _, content = cv2.imencode('.jpg', noise((60, 80)))
    for damaged in (b'', b'text', content.tobytes()[:1500], content.tobytes()[:-5], content[:30]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r'a\.jpg: it is truncated or not an image'):
            read_image(path)
    path.write_bytes(content.tobytes() + b'a film of two seconds' * 100)
    assert read_image(path).shape == (60, 80, 3)
