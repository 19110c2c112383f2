"""Boxes in numpy are those of mmcv and MMDetection."""
from shufflenet_runtime.boxes import decode, nms, top_k

import numpy as np
import pytest
import torch
from mmcv.ops import nms as mmcv_nms
from mmdet.models.task_modules import DeltaXYWHBBoxCoder


def random_boxes(number: int, seed: int = 0, size: float = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, size, (number, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, size, (number, 2))], axis=1)
    return boxes.astype(np.float32)


@pytest.mark.parametrize('threshold', [0.3, 0.7])
@pytest.mark.parametrize('number', [0, 1, 127, 128, 129, 700])
def test_nms_is_that_of_mmcv(number, threshold):
    boxes = random_boxes(number)
    # of no width, of no area, twice the same
    boxes[1:2, 2], boxes[2:3, 2:], boxes[3:6] = boxes[1:2, 0], boxes[2:3, :2], boxes[6:7]
    scores = np.random.default_rng(1).normal(size=number).astype(np.float32)
    _, expected = mmcv_nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    for limit in (1, 50, 10_000):
        found = nms(boxes, scores, threshold, limit)
        assert found.tolist() == expected[:limit].tolist()


def test_nms_drops_above_the_threshold_and_takes_the_first_of_equal_scores():
    # of IoU 1/2
    boxes, equal = np.float32([[0, 0, 10, 10], [0, 0, 10, 5]]), np.ones(2, np.float32)
    assert nms(boxes, equal, 0.5, 9).tolist() == [0, 1]
    assert nms(boxes, equal, 0.49, 9).tolist() == [0]
    assert nms(boxes, np.float32([1, 2]), 0.49, 9).tolist() == [1]


def test_top_k_is_that_of_torch_and_takes_the_first_of_equal_values():
    values = np.random.default_rng(0).permutation(1000).astype(np.float32)
    for limit in (1, 300, 1000, 2**31):
        expected = torch.from_numpy(values).topk(min(limit, 1000))[1]
        assert top_k(values, limit).tolist() == expected.tolist()
    assert top_k(np.float32([1, 2, 1, 2, 0]), 3).tolist() == [1, 3, 0]
    equal = np.random.default_rng(0).integers(0, 9, 2000).astype(np.float32)
    for limit in (1, 300, 1999):
        assert top_k(equal, limit).tolist() == np.argsort(-equal, kind='stable')[:limit].tolist()
    assert top_k(np.float32([1, 2, 1, 2, 0]), 9).tolist() == [1, 3, 0, 2, 4]
    assert top_k(np.empty(0, np.float32), 3).tolist() == []


@pytest.mark.parametrize('coding', [
    dict(target_means=(0.0,) * 4, target_stds=(1.0,) * 4),
    dict(target_means=(0.1, -0.1, 0.2, 0.0), target_stds=(0.1, 0.1, 0.2, 0.3)),
], ids=['plain', 'normalised'])  # fmt: skip
def test_deltas_are_decoded_as_in_mmdetection(coding):
    boxes = random_boxes(500)
    # sizes that are held back, and boxes that leave the image
    deltas = np.random.default_rng(1).normal(scale=8, size=(500, 4)).astype(np.float32)
    expected = DeltaXYWHBBoxCoder(**coding).decode(
        torch.from_numpy(boxes), torch.from_numpy(deltas), max_shape=(180, 250)
    )
    found = decode(
        boxes, deltas, coding['target_means'], coding['target_stds'], width=250, height=180
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
    assert found.max(axis=0).tolist() == [250, 180, 250, 180] and found.min() == 0
    assert decode(boxes[:0], deltas[:0], (0,) * 4, (1,) * 4, 250, 180).shape == (0, 4)
