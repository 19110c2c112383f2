"""Non-maximum suppression against loops over float32 scalars, as the compiled kernels run."""

import shufflenet_det  # noqa: F401  provides mmcv._ext
from shufflenet_det.compat import mmcv_ext

import numpy as np
import pytest
import torch

mmcv_ext.install()

from mmcv.ops import batched_nms, nms, nms_match, soft_nms  # noqa: E402


def random_boxes(count, seed=0, levels=None):
    """Boxes that overlap a lot, and scores: all distinct, or ties of few ``levels``."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 50 + 1], 1)
    if levels:
        return boxes, torch.randint(1, levels + 1, (count,), generator=generator) / levels
    return boxes, (torch.randperm(count, generator=generator) + 1) / (count + 1)


def iou32(first, second, offset=0):
    """IoU of two boxes, every step rounded to float32."""
    one, offset, zero = np.float32, np.float32(offset), np.float32(0)
    a, b = [one(value) for value in first], [one(value) for value in second]
    width = max(zero, one(one(min(a[2], b[2]) - max(a[0], b[0])) + offset))
    height = max(zero, one(one(min(a[3], b[3]) - max(a[1], b[1])) + offset))
    overlap = width * height
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return overlap / (areas[0] + areas[1] - overlap)


def reference_groups(boxes, scores, suppresses, offset=0):
    left = torch.sort(scores, descending=True)[1].tolist()
    boxes, groups = boxes.tolist(), []
    while left:
        best, *rest = left
        hit = [i for i in rest if suppresses(iou32(boxes[best], boxes[i], offset))]
        groups.append([best, *hit])
        left = [i for i in rest if i not in hit]
    return groups


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('levels', [None, 3])
def test_nms_equals_the_loop(offset, levels):
    boxes, scores = random_boxes(120, levels=levels)
    expected = [group[0] for group in reference_groups(
        boxes, scores, lambda iou: iou > np.float32(0.45), offset)]
    dets, kept = nms(boxes, scores, 0.45, offset=offset)
    assert kept.tolist() == expected
    assert dets.equal(torch.cat([boxes, scores[:, None]], 1)[kept])


@pytest.mark.parametrize('threshold', [0.3, 0.4, 0.6, 0.8])
def test_nms_keeps_a_box_exactly_at_the_threshold(threshold):
    boxes = torch.tensor([[0., 0., 10., 10.], [0., 0., 10 * threshold, 10.]])
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, threshold)[1].tolist() == [0, 1]
    boxes[1, 2] += 0.01
    assert nms(boxes, scores, threshold)[1].tolist() == [0]


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_rounds_the_iou_like_the_loop(offset):
    for seed in range(80):
        boxes, scores = random_boxes(2, seed)
        boxes = boxes / 64  # where adding the offset costs digits
        iou = iou32(*boxes.tolist(), offset)
        if iou == 0:
            continue
        below = float(np.nextafter(iou, np.float32(0)))
        assert len(nms(boxes, scores, float(iou), offset=offset)[1]) == 2
        assert len(nms(boxes, scores, below, offset=offset)[1]) == 1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_nms_takes_other_types(dtype):
    boxes, scores = random_boxes(50)
    boxes = boxes.to(dtype)
    assert nms(boxes, scores.to(dtype), 0.5)[0].dtype == dtype
    assert nms(boxes, scores, 0.5)[1].equal(nms(boxes.float(), scores, 0.5)[1])


@pytest.mark.parametrize('function', [nms, soft_nms])
def test_suppression_takes_boxes_that_want_a_gradient(function):
    boxes, scores = random_boxes(20)
    expected = function(boxes, scores, 0.5)
    got = function(boxes.requires_grad_(), scores.requires_grad_(), 0.5)
    assert all(one.equal(other) for one, other in zip(got, expected, strict=True))


def test_nms_without_boxes_and_with_bad_ones():
    none = torch.zeros(0, 4)
    assert nms(none, none[:, 0], 0.5)[1].dtype == torch.long
    assert soft_nms(none, none[:, 0])[0].shape == (0, 5)
    bad = torch.tensor([[0., 0., 4., 4.], [float('nan')] * 4, [0., 0., 4., 4.], [2., 2., 2., 2.]])
    for offset in (0, 1):
        kept = nms(bad, torch.tensor([.9, .8, .7, .6]), 0.5, offset=offset)[1]
        assert kept.tolist() == [0, 1, 3]


def test_batched_nms_keeps_classes_apart():
    boxes, scores = random_boxes(80)
    classes = torch.arange(80) % 3
    kept = batched_nms(boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.5})[1]
    expected = []
    for label in range(3):
        mine = (classes == label).nonzero()[:, 0]
        expected += mine[nms(boxes[mine], scores[mine], 0.5)[1]].tolist()
    assert sorted(kept.tolist()) == sorted(expected)
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)


def test_nms_match_equals_the_loop():
    boxes, scores = random_boxes(60, levels=4)
    # the IoU of the first two is 0.5 exactly, where a box is suppressed, unlike in nms
    boxes[:2] = torch.tensor([[200., 200., 210., 210.], [200., 200., 205., 210.]])
    dets = torch.cat([boxes, scores[:, None]], 1)
    expected = reference_groups(boxes, scores, lambda iou: iou >= np.float32(0.5))
    assert [group.tolist() for group in nms_match(dets, 0.5)] == expected
    assert [group.tolist() for group in nms_match(dets.numpy(), 0.5)] == expected
    assert any({0, 1} <= set(group) for group in expected)


def test_soft_nms_drops_low_scores_that_nothing_overlaps():
    boxes = torch.tensor([[0., 0., 4., 4.], [9., 9., 14., 14.], [20., 20., 24., 24.]])
    for method in ('naive', 'linear', 'gaussian'):
        kept = soft_nms(boxes, torch.tensor([0.1, 0.9, 0.1]), min_score=0.2, method=method)[1]
        assert kept.tolist() == [1]


def reference_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    """One box after the other; a dropped one's place is taken by the last."""
    one = np.float32
    left = [[box, one(score), i] for i, (box, score) in enumerate(zip(boxes, scores, strict=True))]
    done = []
    while left:
        best = max(range(len(left)), key=lambda i: left[i][1])
        left[0], left[best] = left[best], left[0]
        done.append(left[0])
        i = 1
        while i < len(left):
            iou = iou32(done[-1][0], left[i][0], offset)
            if method == 'gaussian':
                left[i][1] *= one(np.exp(np.float64(-(iou * iou) / one(sigma))))
            elif iou >= one(threshold):
                left[i][1] *= one(1) - iou if method == 'linear' else one(0)
            if left[i][1] < one(min_score):
                left[i] = left[-1]
                left.pop()
            else:
                i += 1
        left.pop(0)
    return done


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('offset', [0, 1])
def test_soft_nms_equals_the_loop(method, offset):
    boxes, scores = random_boxes(60, levels=5)
    expected = reference_soft_nms(boxes.tolist(), scores.tolist(), 0.3, 0.5, 0.15, method, offset)
    dets, kept = soft_nms(boxes, scores, 0.3, 0.5, 0.15, method, offset)
    assert kept.tolist() == [index for _, _, index in expected]
    assert 0 < len(kept) < 60
    torch.testing.assert_close(dets[:, 4], torch.tensor([score for _, score, _ in expected]),
                               rtol=2e-7, atol=0)
    assert dets[:, :4].equal(boxes[kept])
