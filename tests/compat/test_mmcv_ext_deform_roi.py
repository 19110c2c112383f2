"""Deformable RoI pooling against RoIAlign, moved by hand."""

import shufflenet_det  # noqa: F401  provides mmcv._ext
from shufflenet_det.compat import mmcv_ext

import pytest
import torch
from torch.autograd import gradcheck

mmcv_ext.install()

from mmcv.ops import DeformRoIPoolPack, ModulatedDeformRoIPoolPack, roi_align  # noqa: E402
from mmcv.ops.deform_roi_pool import deform_roi_pool  # noqa: E402

# inside the map, across its edges, outside, thin, without area, as large as the map
ROIS = torch.tensor([[0, 1.2, 2.3, 9.4, 8.1], [1, -5, -4, 30, 26], [1, 90, 90, 99, 99],
                     [0, 3, 1, 3.1, 11], [1, 4, 4, 4, 4], [0, 0, 0, 13, 11]], dtype=torch.float64)
SCALE, BINS, GAMMA = 0.5, (2, 3), 0.25


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_without_offsets_it_is_roi_align(sampling_ratio):
    features = normal(2, 3, 6, 7)
    plain = roi_align(features, ROIS, BINS, SCALE, sampling_ratio, 'avg', True)
    for offset in (None, torch.zeros(len(ROIS), 2, *BINS, dtype=torch.float64)):
        torch.testing.assert_close(
            deform_roi_pool(features, ROIS, offset, BINS, SCALE, sampling_ratio, GAMMA), plain)


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_each_bin_is_that_of_a_box_moved_by_its_offset(sampling_ratio):
    features, offset = normal(2, 3, 6, 7), normal(len(ROIS), 2, *BINS, seed=1)
    pooled = deform_roi_pool(features, ROIS, offset, BINS, SCALE, sampling_ratio, GAMMA)
    extent = (ROIS[:, 3:] - ROIS[:, 1:3])
    for i, j in torch.cartesian_prod(*map(torch.arange, BINS)).tolist():
        moved = (GAMMA * extent * offset[:, :, i, j]).repeat(1, 2)
        boxes = torch.cat((ROIS[:, :1], ROIS[:, 1:] + moved), 1)
        bins = roi_align(features, boxes, BINS, SCALE, sampling_ratio, 'avg', True)
        torch.testing.assert_close(pooled[:, :, i, j], bins[:, :, i, j])


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_gradients_inside_of_the_map(sampling_ratio):
    features, offset = normal(2, 2, 9, 8), normal(2, 2, *BINS, seed=1).clamp(-1, 1)
    rois = torch.tensor([[0, 5, 4.3, 11, 12.2], [1, 4.1, 5, 10, 9.7]], dtype=torch.float64)
    assert gradcheck(
        lambda x, o: deform_roi_pool(x, rois, o, BINS, SCALE, sampling_ratio, GAMMA),
        (features.requires_grad_(), offset.requires_grad_()))


def test_gradient_of_the_map_with_boxes_anywhere():
    offset = normal(len(ROIS), 2, *BINS, seed=1)
    assert gradcheck(lambda x: deform_roi_pool(x, ROIS, offset, BINS, SCALE, 0, GAMMA),
                     normal(2, 2, 6, 7).requires_grad_())


def test_offsets_of_boxes_outside_have_no_gradient():
    offset = normal(1, 2, *BINS).requires_grad_()
    pooled = deform_roi_pool(normal(2, 2, 6, 7), ROIS[2:3], offset, BINS, SCALE, 2, GAMMA)
    pooled.sum().backward()
    assert not pooled.any() and not offset.grad.any()


def test_the_gradient_at_the_edge_is_that_of_the_kernel():
    # one sample at row -0.5, column 2.25: the kernel keeps the row where it is, and extrapolates
    features = torch.arange(12.).view(1, 1, 3, 4).square()
    rois, offset = torch.tensor([[0, 2.25, -0.5, 3.25, 0.5]]), torch.zeros(1, 2, 1, 1)
    offset.requires_grad_()
    deform_roi_pool(features, rois, offset, (1, 1), 1.0, 1, 1.0).sum().backward()
    first, second = features[0, 0, :2, 2:4]
    above = (1 + 0.5) * (first[1] - first[0]) - 0.5 * (second[1] - second[0])
    across = (1 - 0.25) * (second[0] - first[0]) + 0.25 * (second[1] - first[1])
    torch.testing.assert_close(offset.grad.flatten(), torch.stack((above, across)))


@pytest.mark.parametrize('pack', [DeformRoIPoolPack, ModulatedDeformRoIPoolPack])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_packs_of_mmcv_learn(pack, dtype):
    layer = pack(BINS, 3, deform_fc_channels=8, spatial_scale=SCALE).to(dtype)
    features = normal(2, 3, 6, 7).to(dtype).requires_grad_()
    pooled = layer(features, ROIS.to(dtype))
    assert pooled.shape == (len(ROIS), 3, *BINS)
    pooled.square().sum().backward()
    assert features.grad.any() and layer.offset_fc[-1].weight.grad.any()


def test_no_boxes():
    features, offset = normal(2, 3, 6, 7).requires_grad_(), torch.zeros(0, 2, *BINS)
    pooled = deform_roi_pool(features, ROIS[:0], offset, BINS, SCALE, 0, GAMMA)
    pooled.sum().backward()
    assert pooled.shape == (0, 3, *BINS) and not features.grad.any()
