"""The operators on CUDA against the same ones on CPU, outputs and gradients."""

import shufflenet_det  # noqa: F401  provides mmcv._ext
from shufflenet_det.compat import mmcv_ext

import pytest
import torch

mmcv_ext.install()

from mmcv import ops  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='torch sees no CUDA device'),
]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def boxes_and_scores(count=500):
    corner = normal(count, 2).abs() * 60
    boxes = torch.cat([corner, corner + normal(count, 2, seed=1).abs() * 50 + 1], 1)
    return boxes, torch.randperm(count, generator=torch.Generator().manual_seed(2)) / count


def rois():
    boxes = boxes_and_scores(40)[0]
    return torch.cat([torch.arange(40)[:, None] % 2, boxes], 1).float()


LABELS = torch.arange(40) % 5
SHAPES, STARTS = torch.tensor([[3, 4], [2, 2]]), torch.tensor([0, 12])


def attend(value, shapes, starts, locations, weights):
    return ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply(
        value, shapes, starts, locations, weights, 64)


DIFFERENTIABLE = {
    'roi_align': (lambda x, r: ops.roi_align(x, r, (7, 5), 0.125, 0, 'avg', True),
                  [normal(2, 3, 16, 20), rois()]),
    'roi_align max': (lambda x, r: ops.roi_align(x, r, (7, 5), 0.125, 0, 'max', True),
                      [normal(2, 3, 16, 20), rois()]),
    'roi_pool': (lambda x, r: ops.roi_pool(x, r, (7, 5), 0.125),
                 [normal(2, 3, 16, 20), rois()]),
    'deform_roi_pool': (lambda x, r, o: ops.deform_roi_pool(x, r, o, (7, 5), 0.125),
                        [normal(2, 3, 16, 20), rois(), normal(40, 2, 7, 5, seed=1)]),
    'sigmoid_focal_loss': (lambda x, y: ops.sigmoid_focal_loss(x, y, 2.0, 0.25),
                           [normal(40, 4), LABELS]),
    'softmax_focal_loss': (lambda x, y: ops.softmax_focal_loss(x, y, 2.0, 0.25),
                           [normal(40, 5), LABELS]),
    # Zero offsets: samples at exactly one pixel outside.
    'deform_conv zero': (lambda x, o, w: ops.deform_conv2d(x, o, w, 1, 1),
                         [normal(2, 4, 9, 9), torch.zeros(2, 18, 9, 9), normal(6, 4, 3, 3)]),
    'deform_conv': (lambda x, o, w: ops.deform_conv2d(x, o, w, 1, 1),
                    [normal(2, 4, 9, 9), normal(2, 18, 9, 9, seed=1), normal(6, 4, 3, 3)]),
    'modulated_deform_conv': (
        lambda x, o, m, w, b: ops.modulated_deform_conv2d(x, o, m, w, b, 2, 1),
        [normal(2, 4, 9, 9), normal(2, 18, 9, 9, seed=1), normal(2, 9, 9, 9, seed=2).sigmoid(),
         normal(6, 4, 3, 3), normal(6)]),
    'carafe': (lambda x, m: ops.carafe(x, m, 3, 2, 2),
               [normal(2, 4, 5, 6), normal(2, 18, 10, 12, seed=1)]),
    'attention': (attend, [normal(2, 16, 2, 4), SHAPES, STARTS,
                           normal(2, 7, 2, 2, 3, 2, seed=1).sigmoid() * 1.4 - 0.2,
                           normal(2, 7, 2, 2, 3, seed=2)]),
}


@pytest.mark.parametrize('name', DIFFERENTIABLE)
def test_outputs_and_gradients_equal_those_on_cpu(name):
    function, inputs = DIFFERENTIABLE[name]
    results = []
    for device in ('cpu', 'cuda'):
        # RoIs are floats too, but have no gradient
        leaves = [tensor.to(device).requires_grad_(tensor.is_floating_point())
                  for tensor in inputs]
        output = function(*leaves)
        output.backward(normal(*output.shape, seed=3).to(device))
        results.append([output, *(leaf.grad for leaf in leaves if leaf.grad is not None)])
    for cpu, cuda in zip(*results, strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('offset', [0, 1])
def test_suppression_equals_that_on_cpu(offset):
    boxes, scores = boxes_and_scores()
    for function in (lambda b, s: ops.nms(b, s, 0.5, offset=offset),
                     lambda b, s: ops.soft_nms(b, s, offset=offset),
                     lambda b, s: ops.batched_nms(b, s, (b[:, 0] > 30).long(),
                                                  {'type': 'nms', 'iou_threshold': 0.5}),
                     lambda b, s: ops.nms_match(torch.cat([b, s[:, None]], 1), 0.5)):
        for cpu, cuda in zip(function(boxes, scores), function(boxes.cuda(), scores.cuda()),
                             strict=True):
            assert cuda.is_cuda
            torch.testing.assert_close(cuda.cpu(), cpu)


def test_masked_conv_and_overlaps_equal_those_on_cpu():
    layer, image, mask = ops.MaskedConv2d(3, 4, 3, padding=1), normal(1, 3, 6, 7), normal(1, 6, 7)
    boxes = boxes_and_scores(30)[0]
    with torch.no_grad():
        cpu = layer(image, mask), ops.bbox_overlaps(boxes, boxes[:20])
        cuda = layer.cuda()(image.cuda(), mask.cuda()), ops.bbox_overlaps(boxes.cuda(),
                                                                          boxes[:20].cuda())
    for one, other in zip(cpu, cuda, strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-4, atol=1e-4)


def test_inverted_boxes_pool_nothing():
    bad = torch.tensor([[0., 9., 9., 1., 1.]], device='cuda')
    assert not ops.roi_align(normal(1, 2, 8, 8).cuda(), bad, (2, 2), 1.0, 0, 'avg', True).any()


def test_naive_carafe_gradient_equals_that_of_carafe():
    leaves = [normal(2, 4, 5, 6).cuda().requires_grad_(),
              normal(2, 18, 10, 12, seed=1).cuda().requires_grad_()]
    for naive, other in zip(*(torch.autograd.grad(function(*leaves, 3, 2, 2).square().sum(), leaves)
                              for function in (ops.carafe_naive, ops.carafe)), strict=True):
        torch.testing.assert_close(naive, other)
