"""SSD's augmentation: what MMDetection's transforms make of the same random numbers."""
import copy

from shufflenet_det.data import CheckedCocoDataset, CheckedLoadImageFromFile, FastPackDetInputs
from shufflenet_det.data.augmentation import FastDistortExpandCrop, FastMinIoURandomCrop
from shufflenet_det.data.pipeline import replaced

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import (
    Expand,
    MinIoURandomCrop,
    PackDetInputs,
    PhotoMetricDistortion,
)
from mmdet.engine.hooks import PipelineSwitchHook
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

MEAN = [123.675, 116.28, 103.53]


def sample(seed: int, masks: bool = False) -> dict:
    """A random image with 0 to 13 boxes, of every size or small."""
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(40, 300, 2))
    count = int(rng.integers(0, 14))
    start = rng.uniform(0, 0.8, (count, 2))
    end = np.minimum(start + rng.uniform(0.02, 0.8 if seed % 2 else 0.2, (count, 2)), 1)
    boxes = np.concatenate([start, end], 1) * [width, height, width, height]
    results = dict(
        img=rng.integers(0, 256, (height, width, 3), np.uint8),
        img_shape=(height, width),
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        gt_bboxes_labels=np.arange(count),
        gt_ignore_flags=rng.random(count) < 0.5,
    )
    if masks:
        results['gt_masks'] = BitmapMasks(
            rng.integers(0, 2, (count, height, width), np.uint8), height, width
        )
        results['gt_seg_map'] = rng.integers(0, 9, (height, width), np.uint8)
    return results


def run(steps: list, results: dict, seed: int) -> tuple[dict, float]:
    """What ``steps`` make of a copy of ``results``, and the random number that is next."""
    results = copy.deepcopy(results)
    np.random.seed(seed)
    for step in steps:
        results = step(results)
    return results, np.random.rand()


def stock() -> list:
    return [
        PhotoMetricDistortion(),
        Expand(mean=MEAN, ratio_range=(1, 2), seg_ignore_label=255),
        MinIoURandomCrop(min_crop_size=0.4),
    ]


@pytest.mark.parametrize('masks', [False, True], ids=['boxes', 'masks'])
@pytest.mark.parametrize('crop_alone', [False, True], ids=['all three', 'crop alone'])
def test_samples_are_those_of_mmdetection(crop_alone, masks):
    steps = stock()[2:] if crop_alone else stock()
    ours = replaced(steps)
    assert [type(step) for step in ours] == [
        FastMinIoURandomCrop if crop_alone else FastDistortExpandCrop
    ]
    cropped = 0
    for seed in range(60):
        before = sample(seed, masks)
        theirs, next_of_theirs = run(steps, before, seed)
        fast, next_of_ours = run(ours, before, seed)
        # not one random number more or less: what follows is the same, too
        assert next_of_ours == next_of_theirs
        assert set(fast) == set(theirs) and fast['img_shape'] == theirs['img_shape']
        assert fast['img'].dtype == theirs['img'].dtype
        # OpenCV rounds colours otherwise at the edges of an image
        np.testing.assert_allclose(fast['img'], theirs['img'], rtol=0, atol=0.001)
        assert torch.equal(fast['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor)
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            assert np.array_equal(fast[key], theirs[key])
        if masks:
            assert np.array_equal(fast['gt_masks'].masks, theirs['gt_masks'].masks)
            assert np.array_equal(fast['gt_seg_map'], theirs['gt_seg_map'])
        cropped += fast['img_shape'] != before['img_shape']
    assert cropped > 20


def test_a_crop_beside_the_image_is_empty_surroundings():
    only = FastDistortExpandCrop(*stock())
    image = np.zeros((4, 6, 3), np.uint8)
    no_change = 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, (0, 1, 2)
    drawn = only._draw(image, no_change, (0, 0, 3, 4), left=3, top=5)
    assert drawn.shape == (4, 3, 3)
    assert np.array_equal(drawn, np.full((4, 3, 3), MEAN[::-1], np.float32))
    # a corner of it
    drawn = only._draw(image, no_change, (0, 0, 5, 7), left=3, top=5)
    assert not drawn[5:, 3:].any() and np.array_equal(drawn[4, 4], np.float32(MEAN[::-1]))


def test_settings_are_kept_and_other_transforms_left_alone():
    class Mine(MinIoURandomCrop):
        pass

    steps = [LoadImageFromFile(color_type='grayscale'), Mine(), PackDetInputs(meta_keys=('a',))]
    load, mine, pack = replaced(steps)
    assert type(load) is CheckedLoadImageFromFile and load.color_type == 'grayscale'
    assert mine is steps[1]
    assert type(pack) is FastPackDetInputs and pack.meta_keys == ('a',)
    # something between the three
    steps = [PhotoMetricDistortion(), Mine(), Expand(), MinIoURandomCrop(min_ious=(0.5,))]
    *same, crop = replaced(steps)
    assert same == steps[:3] and type(crop) is FastMinIoURandomCrop and crop.min_ious == (0.5,)


def test_a_pipeline_that_a_hook_sets_is_ours_too(coco_root):
    dataset = CheckedCocoDataset(
        data_root=str(coco_root), ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[dict(type='LoadImageFromFile')],
    )  # fmt: skip
    hook = PipelineSwitchHook(1, [dict(type='LoadImageFromFile'), dict(type='PackDetInputs')])
    dataset.pipeline = type(dataset.pipeline)(hook.switch_pipeline)
    kinds = [type(step) for step in dataset.pipeline.transforms]
    assert kinds == [CheckedLoadImageFromFile, FastPackDetInputs]
