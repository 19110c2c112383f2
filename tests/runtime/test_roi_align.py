"""RoIAlign in numpy is that of mmcv."""
from shufflenet_runtime.roi_align import RoIAlign

import numpy as np
import pytest
import torch
from mmcv.ops import roi_align


@pytest.mark.parametrize('aligned', [True, False], ids=['half pixels', 'whole pixels'])
@pytest.mark.parametrize('samples', [0, 2])
@pytest.mark.parametrize('shape', [(3, 19, 26), (5, 1, 1), (2, 7, 1)], ids=str)
def test_roi_align_is_that_of_mmcv(shape, samples, aligned):
    rng = np.random.default_rng(0)
    features = rng.normal(size=shape).astype(np.float32)
    width, height = shape[2] * 8, shape[1] * 8
    corners = rng.uniform(-20, 1.2 * max(width, height), (100, 2, 2)).astype(np.float32)
    corners.sort(axis=1)
    special = [
        [0, 0, width, height],
        [5, 5, 5, 5],
        [width, height, width, height],
        [0, 3, width, 3],
        [-4, -4, -4, -4],
        # outside on every side
        [-90, -90, -50, -50],
        [2 * width, 3, 3 * width + 40, 20],
        [3, 2 * height + 30, 20, 3 * height + 40],
        [-50, -50, 2 * width, 2 * height],
    ]
    boxes = np.concatenate([corners.reshape(-1, 4), np.float32(special)])
    rois = np.concatenate([np.zeros((len(boxes), 1), np.float32), boxes], axis=1)
    expected = roi_align(
        torch.from_numpy(features[None]), torch.from_numpy(rois), (5, 7), 1 / 8, samples, 'avg',
        aligned,
    ).numpy()  # fmt: skip
    found = np.full((len(boxes) + 2, shape[0], 5, 7), np.nan, np.float32)
    places = rng.permutation(len(boxes) + 2)[: len(boxes)]
    pool = RoIAlign(5, 7, 1 / 8, samples, aligned)
    pool(np.ascontiguousarray(features.transpose(1, 2, 0)), boxes, found, places)
    np.testing.assert_allclose(found[places], expected, atol=1e-5)
    assert (expected != 0).any()
    # and nothing else is written
    assert np.isnan(np.delete(found, places, axis=0)).all()


def test_no_boxes_are_no_error():
    out = np.empty((0, 2, 7, 7), np.float32)
    features = np.zeros((4, 4, 2), np.float32)
    RoIAlign(7, 7, 1, 0, True)(features, np.empty((0, 4), np.float32), out, np.empty(0, np.int64))
