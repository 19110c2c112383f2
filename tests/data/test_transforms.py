"""Transforms that do what MMDetection's do, faster."""
import copy

from shufflenet_det.data import CheckedCocoDataset, FastPackDetInputs

import mmcv
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes


def results(image: np.ndarray) -> dict:
    return dict(
        img=image,
        img_shape=image.shape[:2],
        gt_bboxes=HorizontalBoxes(torch.tensor([[1.0, 2.0, 9.0, 8.0], [0.0, 0.0, 4.0, 4.0]])),
        gt_bboxes_labels=np.array([3, 1]),
        gt_ignore_flags=np.array([0, 1]),
    )


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('shape', [(7, 12, 3), (1, 1, 3), (7, 12, 1), (7, 12)])
def test_packed_samples_are_those_of_mmdetection(shape, flip, dtype):
    image = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    if flip:
        # a view with negative strides
        image = mmcv.imflip(image, flip)
    before = image.copy()
    content = results(image)
    keys = set(content)
    plain = PackDetInputs(meta_keys=('img_shape',))(copy.deepcopy(content))
    fast = FastPackDetInputs(meta_keys=('img_shape',))(content)
    assert set(content) == keys and np.array_equal(image, before)
    assert fast['inputs'].dtype == plain['inputs'].dtype and fast['inputs'].is_contiguous()
    assert torch.equal(fast['inputs'], plain['inputs'])
    for part in ('gt_instances', 'ignored_instances'):
        ours, theirs = (getattr(p['data_samples'], part) for p in (fast, plain))
        assert torch.equal(ours.bboxes.tensor, theirs.bboxes.tensor)
        assert torch.equal(ours.labels, theirs.labels)


def test_a_crop_of_an_image_is_packed_as_it_is():
    image = np.random.default_rng(0).integers(0, 255, (9, 14, 3), np.uint8)[2:8, 3:9]
    fast = FastPackDetInputs(meta_keys=())(results(image))
    assert np.array_equal(fast['inputs'].numpy(), image.transpose(2, 0, 1))


def test_our_data_set_packs_with_it(coco_root):
    dataset = CheckedCocoDataset(
        data_root=str(coco_root), ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id',)),
        ],
    )  # fmt: skip
    assert type(dataset.pipeline.transforms[-1]) is FastPackDetInputs
    assert dataset[0]['inputs'].shape == (3, 120, 160)
    assert dataset[0]['data_samples'].img_id == 1
