"""``--size``: what a config has in pixels changes by one factor."""
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.evaluation.report import resolution_of
from shufflenet_det.own_data.bases import load_base
from shufflenet_det.own_data.resolution import walk

import pytest

from .files import C4

RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
YOLOX = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'
DETR = 'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'


def in_pixels(part: object) -> dict:
    """Settings in pixels by the type of the step that has them."""
    keys = ('scale', 'scales', 'img_scale', 'size', 'crop_size', 'border', 'random_size_range')
    return {step['type']: step[key] for step in walk(part) for key in keys if key in step}


def test_images_that_are_padded_to_squares():
    _, cfg = load_base(RTMDET, 320)
    assert in_pixels(cfg.test_dataloader) == dict(Resize=(320, 320), Pad=(320, 320))
    assert in_pixels(cfg.train_dataloader) == dict(
        CachedMosaic=(320, 320), RandomResize=(640, 640), RandomCrop=(320, 320), Pad=(320, 320),
        CachedMixUp=(320, 320),
    )  # fmt: skip
    # for the last epochs
    assert in_pixels(cfg.custom_hooks) == dict(
        RandomResize=(320, 320), RandomCrop=(320, 320), Pad=(320, 320)
    )
    ratios = [s['ratio_range'] for s in walk(cfg.train_dataloader) if s['type'] == 'RandomResize']
    assert ratios == [(0.5, 2.0)]


def test_training_at_other_sizes_than_testing_keeps_the_proportion():
    _, cfg = load_base(YOLOX, 416)
    before = in_pixels(cfg.train_dataloader)
    assert before['Mosaic'] == (640, 640) and before['RandomAffine'] == (-320, -320)
    _, cfg = load_base(YOLOX, 320)
    assert resolution_of(cfg) == [320, 320]
    # 640 * 320 / 416 = 492, to a multiple of 32, and half of that for the border
    assert in_pixels(cfg.train_dataloader) == dict(
        Mosaic=(480, 480), RandomAffine=(-240, -240), Resize=(480, 480)
    )
    augment = cfg.model.data_preprocessor.batch_augments[0]
    assert augment.random_size_range == (256, 480) and augment.size_divisor == 32


def test_images_of_any_proportion():
    base, cfg = load_base(C4, 600)
    assert resolution_of(base) == [500, 300] and resolution_of(cfg) == [1000, 600]
    assert cfg.model == base.model
    _, cfg = load_base('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', 320)
    assert resolution_of(cfg) == [533, 320]


def test_sizes_to_choose_from_and_crops():
    base, cfg = load_base(DETR, 400)
    old = [s for s in walk(base.train_dataloader) if s['type'] == 'RandomChoiceResize']
    new = [s for s in walk(cfg.train_dataloader) if s['type'] == 'RandomChoiceResize']
    assert len(new) == len(old) == 3
    assert old[0]['scales'][0] == (480, 1333) and new[0]['scales'][0] == (240, 667)
    (crop,) = (s for s in walk(cfg.train_dataloader) if s['type'] == 'RandomCrop')
    assert crop['crop_size'] == (192, 300) and crop['allow_negative_crop'] is True


@pytest.mark.parametrize(
    ('base', 'size', 'message'),
    [
        (RTMDET, 300, '--size 300: .* square, now of 640 .*multiple of 32: give 288 or 320'),
        (RTMDET, 16, 'give 32 pixels or more'),
        ('mmdet::ssd/ssd300_coco.py', 320, 'levels and anchors of .* are made for 300x300'),
        ('mmdet::centernet/centernet_r18_8xb16-crop512-140e_coco.py', 320, 'resizes no images'),
    ],
)
def test_sizes_that_cannot_be(base, size, message):
    with pytest.raises(ConfigError, match=message):
        load_base(base, size)


def test_the_size_that_it_has_changes_nothing():
    base, cfg = load_base('mmdet::ssd/ssd300_coco.py', 300)
    assert cfg.val_dataloader == base.val_dataloader and cfg.model == base.model
