"""Focal losses, CARAFE, masked convolution, attention and box overlaps against loops."""

import math

import shufflenet_det  # noqa: F401  provides mmcv._ext
from shufflenet_det.compat import mmcv_ext

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

mmcv_ext.install()

from mmcv import _ext  # noqa: E402
from mmcv.ops import (  # noqa: E402
    CARAFE,
    CARAFENaive,
    MaskedConv2d,
    SigmoidFocalLoss,
    SoftmaxFocalLoss,
    bbox_overlaps,
)
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction  # noqa: E402


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 2, 1, 3, -1])
CLASS_WEIGHT = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)


@pytest.mark.parametrize('weight', [None, CLASS_WEIGHT])
def test_sigmoid_focal_loss_equals_the_loop(weight):
    logits = normal(5, 3) * 3
    expected = torch.zeros(5, 3, dtype=torch.float64)
    for n, label in enumerate(LABELS.tolist()):
        factor = 1.0 if weight is None or not 0 <= label < 3 else weight[label].item()
        for c in range(3):
            p = 1 / (1 + math.exp(-logits[n, c]))
            loss = (-0.25 * (1 - p) ** 1.5 * math.log(p) if c == label
                    else -0.75 * p ** 1.5 * math.log(1 - p))
            expected[n, c] = factor * loss
    loss = SigmoidFocalLoss(1.5, 0.25, weight, 'none')
    torch.testing.assert_close(loss(logits, LABELS), expected)
    mean = SigmoidFocalLoss(1.5, 0.25, weight, 'mean')
    torch.testing.assert_close(mean(logits, LABELS), expected.sum() / 5)
    assert gradcheck(lambda x: mean(x, LABELS), logits.requires_grad_())


def test_sigmoid_focal_loss_of_tiny_probabilities():
    logits = torch.tensor([[-9.0], [-200.0], [200.0]]).requires_grad_()
    loss = SigmoidFocalLoss(2.0, 0.25, reduction='none')(logits, torch.tensor([1, 0, 1]))
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad.isfinite().all()
    p = 1 / (1 + math.exp(9))
    log = (1 - torch.tensor(p)).double().log().item()  # of a float32, as in mmcv's kernel
    assert loss[0].item() == pytest.approx(-0.75 * p ** 2 * log, rel=1e-5, abs=0)


@pytest.mark.parametrize('weight', [None, CLASS_WEIGHT])
def test_softmax_focal_loss_equals_the_loop(weight):
    logits, labels = normal(5, 3), torch.tensor([0, 2, 1, -1, 2])
    expected = torch.zeros(5, dtype=torch.float64)
    for n, label in enumerate(labels.tolist()):
        if label >= 0:
            row = [math.exp(value) for value in logits[n].tolist()]
            p = row[label] / sum(row)
            factor = 1.0 if weight is None else weight[label].item()
            expected[n] = -0.25 * factor * (1 - p) ** 1.5 * math.log(p)
    loss = SoftmaxFocalLoss(1.5, 0.25, weight, 'none')
    torch.testing.assert_close(loss(logits, labels), expected)
    total = SoftmaxFocalLoss(1.5, 0.25, weight, 'sum')
    assert gradcheck(lambda x: total(x, labels), logits.requires_grad_())


def test_focal_losses_refuse_labels_above_the_classes():
    with pytest.raises(ValueError, match='one is 4'):
        SigmoidFocalLoss(2.0, 0.25)(normal(1, 3), torch.tensor([4]))
    with pytest.raises(ValueError, match='one is 3'):
        SoftmaxFocalLoss(2.0, 0.25)(normal(1, 3), torch.tensor([3]))


KERNEL, GROUP, SCALE = 3, 2, 2


def carafe_tensors():
    return normal(2, 4, 3, 4), normal(2, GROUP * KERNEL ** 2, 6, 8, seed=1)


def test_carafe_equals_the_loop():
    features, masks = carafe_tensors()
    expected = torch.zeros(2, 4, 6, 8, dtype=torch.float64)
    for n, c, y, x in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        for i in range(KERNEL ** 2):
            row, column = y // SCALE + i // KERNEL - 1, x // SCALE + i % KERNEL - 1
            if 0 <= row < 3 and 0 <= column < 4:
                group = c // (4 // GROUP)
                expected[n, c, y, x] += (features[n, c, row, column]
                                         * masks[n, group * KERNEL ** 2 + i, y, x])
    carafe = CARAFE(KERNEL, GROUP, SCALE)
    torch.testing.assert_close(carafe(features, masks), expected)
    torch.testing.assert_close(CARAFENaive(KERNEL, GROUP, SCALE)(features, masks), expected)
    assert gradcheck(carafe, (features.requires_grad_(), masks.requires_grad_()), fast_mode=True)


def test_carafe_naive_backward():
    # mmcv's own Python refuses this gradient on CPU, so the operator is called directly.
    features, masks = carafe_tensors()
    output = CARAFE(KERNEL, GROUP, SCALE)(features.requires_grad_(), masks.requires_grad_())
    top = torch.randn_like(output)
    grads = torch.zeros_like(features), torch.zeros_like(masks)
    _ext.carafe_naive_backward(top, features.detach(), masks.detach(), *grads, kernel_size=KERNEL,
                               group_size=GROUP, scale_factor=SCALE)
    for mine, theirs in zip(grads, torch.autograd.grad(output, (features, masks), top),
                            strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize('kernel,padding', [(3, 1), ((5, 3), (2, 1)), (1, 0)])
def test_masked_conv_equals_convolution_where_the_mask_is(kernel, padding):
    torch.manual_seed(0)
    layer = MaskedConv2d(3, 4, kernel, padding=padding)
    image, mask = torch.randn(1, 3, 6, 7), (torch.rand(1, 6, 7) > 0.5).float()
    with torch.no_grad():
        expected = F.conv2d(image, layer.weight, layer.bias, padding=padding)
        torch.testing.assert_close(layer(image, mask), expected * mask)
        assert not layer(image, torch.zeros_like(mask)).any()


SHAPES = torch.tensor([[3, 4], [2, 2]])
STARTS = torch.tensor([0, 12])


def attention_tensors(batch=2, queries=3, heads=2, dims=2, points=2):
    generator = torch.Generator().manual_seed(0)
    locations = torch.rand(batch, queries, heads, 2, points, 2, dtype=torch.float64,
                           generator=generator) * 1.6 - 0.3
    return (normal(batch, 16, heads, dims), locations,
            normal(batch, queries, heads, 2, points, seed=1))


def attend(value, locations, weights, im2col_step=64):
    return MultiScaleDeformableAttnFunction.apply(value, SHAPES, STARTS, locations, weights,
                                                  im2col_step)


def test_attention_equals_the_loop():
    value, locations, weights = attention_tensors()
    batch, queries, heads, levels, points = weights.shape
    expected = torch.zeros(batch, queries, heads, value.shape[3], dtype=torch.float64)
    for b, q, h, level, p in torch.cartesian_prod(*map(torch.arange, weights.shape)).tolist():
        height, width = SHAPES[level].tolist()
        plane = value[b, STARTS[level]:STARTS[level] + height * width, h].unflatten(0, (height, -1))
        x, y = (locations[b, q, h, level, p] * torch.tensor([width, height]) - 0.5).tolist()
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    expected[b, q, h] += weights[b, q, h, level, p] * share * plane[row, column]
    torch.testing.assert_close(attend(value, locations, weights), expected.flatten(2))
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    assert gradcheck(attend, inputs, fast_mode=True)


def test_attention_has_no_slope_exactly_one_pixel_outside():
    value, locations, weights = (tensor.requires_grad_() for tensor in attention_tensors())
    with torch.no_grad():
        locations[:, :, :, 0, :, 0] = -0.5 / 4  # x = -1 on the level that is 4 wide
        locations[:, :, :, 0, :, 1] = 0.5
        locations[:, :, :, 1] = 0.45
    attend(value, locations, weights).sum().backward()
    assert not locations.grad[:, :, :, 0].any()
    assert locations.grad[:, :, :, 1].all()


def test_attention_step_divides_the_batch():
    value, locations, weights = attention_tensors(batch=3)
    with pytest.raises(RuntimeError, match='divisible by im2col_step'):
        attend(value, locations, weights, im2col_step=2)


def reference_overlap(a, b, mode, offset):
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    area_a, area_b = ((c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b))
    return width * height / (area_a if mode == 'iof' else area_a + area_b - width * height)


@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('offset', [0, 1])
def test_bbox_overlaps_equals_the_loop(mode, offset):
    first, second = (normal(4, 4, seed=seed).abs() * 10 for seed in (0, 1))
    first[:, 2:] += first[:, :2]
    second[:, 2:] += second[:, :2]
    expected = torch.tensor([[reference_overlap(a, b, mode, offset) for b in second.tolist()]
                             for a in first.tolist()], dtype=torch.float64)
    assert expected.any()
    torch.testing.assert_close(bbox_overlaps(first, second[:3], mode, offset=offset),
                               expected[:, :3])
    torch.testing.assert_close(bbox_overlaps(first, second, mode, aligned=True, offset=offset),
                               expected.diagonal())
    assert bbox_overlaps(first[:0], second).shape == (0, 4)
