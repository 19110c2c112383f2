"""RoIAlign and RoIPool against loops over bins and samples."""

import math

import shufflenet_det  # noqa: F401  provides mmcv._ext
from shufflenet_det.compat import mmcv_ext
from shufflenet_det.compat.mmcv_ext.roi_align_mean import mean_backward

import pytest
import torch
from torch.autograd import gradcheck

mmcv_ext.install()

from mmcv.ops import RoIAlign, RoIPool  # noqa: E402

# Inside the map, across its edges, outside, thin, without area, as large as the map.
ROIS = torch.tensor([[0, 1.2, 2.3, 9.4, 8.1], [1, -5, -4, 30, 26], [1, 90, 90, 99, 99],
                     [0, 3, 1, 3.1, 11], [1, 4, 4, 4, 4], [0, 0, 0, 13, 11]], dtype=torch.float64)
SCALE, BINS = 0.5, (2, 3)


def feature_map(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 2, 6, 7, dtype=torch.float64, generator=generator)


def bilinear(plane, y, x):
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return float((1 - dy) * ((1 - dx) * plane[top, left] + dx * plane[top, right])
                 + dy * ((1 - dx) * plane[bottom, left] + dx * plane[bottom, right]))


def reference_align(features, rois, sampling_ratio, pool_mode, aligned):
    output = features.new_zeros(len(rois), features.shape[1], *BINS)
    shift = 0.5 if aligned else 0.0
    for k, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (value * SCALE - shift for value in corners)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        bin_y, bin_x = height / BINS[0], width / BINS[1]
        count_y, count_x = sampling_ratio or math.ceil(bin_y), sampling_ratio or math.ceil(bin_x)
        for c, i, j in torch.cartesian_prod(*map(torch.arange, output.shape[1:])).tolist():
            samples = [bilinear(features[int(image), c], y1 + (i + (a + 0.5) / count_y) * bin_y,
                                x1 + (j + (b + 0.5) / count_x) * bin_x)
                       for a in range(count_y) for b in range(count_x)]
            if pool_mode == 'max':
                output[k, c, i, j] = max(samples, default=-10000)
            else:
                output[k, c, i, j] = sum(samples) / max(len(samples), 1)
    return output


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
def test_roi_align_equals_the_loop(pool_mode, sampling_ratio, aligned):
    features = feature_map()
    align = RoIAlign(BINS, SCALE, sampling_ratio, pool_mode, aligned)
    expected = reference_align(features, ROIS, sampling_ratio, pool_mode, aligned)
    torch.testing.assert_close(align(features, ROIS), expected)
    torch.testing.assert_close(align(features.float(), ROIS.float()), expected.float())
    assert gradcheck(lambda x: align(x, ROIS), features.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
def test_roi_align_of_a_strided_gradient(pool_mode):
    features = feature_map().requires_grad_()
    output = RoIAlign(BINS, SCALE, 0, pool_mode)(features, ROIS)
    weight = torch.randn(output.mT.shape, dtype=output.dtype).mT
    strided, = torch.autograd.grad(output, features, weight, retain_graph=True)
    dense, = torch.autograd.grad(output, features, weight.contiguous())
    assert strided.equal(dense)


def test_roi_align_max_remembers_where():
    from mmcv import _ext
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 2, 1] = 5
    output, y, x = (torch.zeros(2, 1, 1, 1) for _ in range(3))
    rois = torch.tensor([[0., 0., 0., 4., 4.], [0., 2., 2., 2., 2.]])
    _ext.roi_align_forward(features, rois, output, y, x, aligned_height=1, aligned_width=1,
                           spatial_scale=1.0, sampling_ratio=0, pool_mode=0, aligned=True)
    assert output.flatten().tolist() == [5, -10000]
    assert y.flatten().tolist() == [2, -1] and x.flatten().tolist() == [1, -1]


def test_nothing_above_the_floor_has_no_gradient():
    for value, floor, pool in ((-20000., -10000., RoIAlign(BINS, 1.0, pool_mode='max')),
                               (-math.inf, torch.finfo(torch.float32).min, RoIPool(BINS, 1.0))):
        features = torch.full((1, 1, 4, 4), value).requires_grad_()
        output = pool(features, torch.tensor([[0., 1., 1., 3., 3.]]))
        assert (output == floor).all()
        output.sum().backward()
        assert not features.grad.any()


@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
def test_samples_past_the_last_pixel_are_that_pixel(pool_mode):
    # Exactly: weights that only add up to about one would not do.
    align = RoIAlign(8, 1.0, 1, pool_mode)
    output = align(torch.tensor([[[[0.1]]]]), torch.tensor([[0., 0., 0., 1.4, 1.4]]))
    assert (output == 0.1).all()


@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('box', [[9., 9., 1., 1.], [1., 1., float('nan'), 9.],
                                 [1., 1., float('inf'), 9.]])
def test_roi_align_refuses_bad_boxes(box, sampling_ratio, pool_mode):
    rois = torch.tensor([[0., 1., 1., 2., 2.], [0., *box]])
    for aligned in (True, False):
        align = RoIAlign(BINS, SCALE, sampling_ratio, pool_mode, aligned)
        if aligned or not all(map(math.isfinite, box)):
            with pytest.raises(RuntimeError, match='1 of 2 are not, the first being row 1'):
                align(feature_map().float(), rois)
        else:  # widened to one pixel
            assert align(feature_map().float(), rois).isfinite().all()


def test_roi_align_without_rois():
    features = feature_map().requires_grad_()
    for pool in (RoIAlign(BINS, SCALE), RoIAlign(BINS, SCALE, pool_mode='max'),
                 RoIPool(BINS, SCALE)):
        output = pool(features, ROIS[:0])
        assert output.shape == (0, 2, *BINS)
        output.sum().backward()
        assert not features.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('pool', [RoIAlign(BINS, SCALE), RoIAlign(BINS, SCALE, pool_mode='max'),
                                  RoIPool(BINS, SCALE)])
def test_half_types_are_rounded_once(pool, dtype):
    features, rois = feature_map().to(dtype).requires_grad_(), ROIS[[0, 1, 5]].to(dtype)
    output = pool(features, rois)
    assert output.equal(pool(features.float(), rois.float()).to(dtype))
    output.sum().backward()
    assert features.grad.dtype == dtype and features.grad.any()


def reference_pool(features, rois):
    output = features.new_zeros(len(rois), features.shape[1], *BINS)
    height, width = features.shape[2:]
    for k, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = corners[0] * SCALE, corners[1] * SCALE, *(
            (value + 1) * SCALE for value in corners[2:])
        if x2 <= x1 or y2 <= y1:
            continue
        bin_y, bin_x = (y2 - y1) / BINS[0], (x2 - x1) / BINS[1]
        for c, i, j in torch.cartesian_prod(*map(torch.arange, output.shape[1:])).tolist():
            rows = range(max(math.floor(y1 + i * bin_y), 0),
                         min(math.ceil(y1 + (i + 1) * bin_y), height))
            columns = range(max(math.floor(x1 + j * bin_x), 0),
                            min(math.ceil(x1 + (j + 1) * bin_x), width))
            output[k, c, i, j] = max((features[int(image), c, row, column].item()
                                      for row in rows for column in columns), default=0)
    return output


def test_roi_pool_equals_the_loop_and_not_torchvision():
    from torchvision.ops import roi_pool as torchvision_roi_pool
    features, pool = feature_map(), RoIPool(BINS, SCALE)
    rois = torch.cat([ROIS, ROIS.new_tensor([[0, 9, 9, 1, 1]])])
    expected = reference_pool(features, rois)
    assert pool(features, rois).equal(expected)
    assert not torchvision_roi_pool(features, rois, BINS, SCALE).equal(expected)
    assert gradcheck(lambda x: pool(x, ROIS), features.requires_grad_(), fast_mode=True)


def test_roi_pool_leaves_boxes_without_area_alone():
    from mmcv import _ext
    output, argmax = torch.full((2, 2, *BINS), 7.0), torch.full((2, 2, *BINS), 7, dtype=torch.int)
    rois = torch.tensor([[0., 9., 9., 1., 1.], [0., 1., 1., 9., 9.]])
    _ext.roi_pool_forward(feature_map().float(), rois, output, argmax, pooled_height=BINS[0],
                          pooled_width=BINS[1], spatial_scale=SCALE)
    assert (output[0] == 7).all() and (argmax[0] == 7).all()
    assert (output[1] < 7).all()


def test_gathering_in_chunks_changes_nothing(monkeypatch):
    from shufflenet_det.compat.mmcv_ext import _sampling
    pools = [RoIAlign(BINS, SCALE, pool_mode='max'), RoIPool(BINS, SCALE)]
    whole = [pool(feature_map(), ROIS) for pool in pools]
    monkeypatch.setattr(_sampling, '_BUDGET', 1)
    assert all(pool(feature_map(), ROIS).equal(one) for pool, one in zip(pools, whole, strict=True))


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2, 3])
@pytest.mark.parametrize('bins', [(7, 7), (3, 5)])
def test_gradient_by_matrix_products_is_that_of_torchvision(aligned, sampling_ratio, bins):
    shape = (3, 5, 11, 17)
    corner = torch.rand(40, 2, dtype=torch.float64) * 300 - 40
    rois = torch.cat([torch.randint(0, 2, (40, 1)), corner, corner + torch.rand(40, 2) * 250], 1)
    rois[0, 3:] = rois[0, 1:3]  # no extent
    grad = torch.randn(40, 5, *bins, dtype=torch.float64)
    ours = mean_backward(grad, rois, shape, 1 / 16, sampling_ratio, aligned)
    theirs = torch.ops.torchvision._roi_align_backward(
        grad, rois, 1 / 16, *bins, *shape, sampling_ratio, aligned)
    torch.testing.assert_close(ours, theirs)
    assert not ours[2].any(), 'no RoI is on the last image'


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_every_number_of_threads_gives_the_same(dtype):
    torch.manual_seed(0)
    features = torch.randn(2, 5, 12, 15, dtype=dtype)
    corner = torch.rand(101, 2, dtype=dtype) * 60
    rois = torch.cat(
        (torch.arange(101)[:, None].to(dtype) % 2, corner, corner + 5 + 60 * torch.rand(101, 2)), 1
    ).to(dtype)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(RoIAlign((3, 4), 0.125, 0, 'avg', True)(features, rois))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert found[0].any(dim=1).any(dim=1).any(dim=1).all()
