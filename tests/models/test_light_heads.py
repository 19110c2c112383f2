"""The light detector's neck and RPN: cheap, and in their results MMDetection's."""
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models import LightFPN, LightRPNHead

import pytest
import torch
from mmcv.cnn.utils import fuse_conv_bn
from mmdet.models import RPNHead
from mmengine.config import ConfigDict
from torch import nn

SIZES = ((38, 50), (19, 25), (10, 13))
META = dict(img_shape=(300, 400), scale_factor=(2.0, 1.5))


def make_rpn(**kwargs) -> LightRPNHead:
    return LightRPNHead(
        in_channels=8,
        feat_channels=16,
        anchor_generator=dict(
            type='AnchorGenerator',
            base_sizes=[16, 48, 147],
            scales=[1, 1.74],
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32],
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        **kwargs,
    ).eval()


def proposal_cfg(**kwargs) -> ConfigDict:
    nms = dict(type='nms', iou_threshold=0.7)
    return ConfigDict(dict(nms_pre=300, max_per_img=100, nms=nms, min_bbox_size=0) | kwargs)


def random_outputs(images: int = 2) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    scores = [torch.randn(images, 6, *size) for size in SIZES]
    return scores, [torch.randn(images, 24, *size) * 0.3 for size in SIZES]


@pytest.mark.parametrize('rescale', [False, True])
@pytest.mark.parametrize('nms_pre', [-1, 50, 300, 100000])
def test_proposals_are_those_of_mmdetection(nms_pre, rescale):
    rpn, cfg = make_rpn(), proposal_cfg(nms_pre=nms_pre)
    arguments = dict(batch_img_metas=[META, META], cfg=cfg, rescale=rescale)
    ours = rpn.predict_by_feat(*random_outputs(), **arguments)
    theirs = RPNHead.predict_by_feat(rpn, *random_outputs(), **arguments)
    assert len(ours) == len(theirs) == 2
    for own, plain in zip(ours, theirs, strict=True):
        assert 0 < len(own) <= cfg.max_per_img
        assert own.keys() == plain.keys()
        for key in own.keys():  # noqa: SIM118  an InstanceData is no mapping
            assert torch.equal(own[key], plain[key])


def test_a_batch_has_the_proposals_of_its_images_one_by_one():
    rpn, (scores, deltas) = make_rpn(test_cfg=proposal_cfg()), random_outputs()
    together = rpn.predict_by_feat(scores, deltas, batch_img_metas=[META, META])
    for index, expected in enumerate(together):
        one = [[level[index : index + 1] for level in levels] for levels in (scores, deltas)]
        (alone,) = rpn.predict_by_feat(*one, batch_img_metas=[META])
        assert torch.equal(alone.bboxes, expected.bboxes)


def test_no_proposal_is_large_enough():
    rpn = make_rpn(test_cfg=proposal_cfg(min_bbox_size=1000))
    (result,) = rpn.predict_by_feat(*random_outputs(1), batch_img_metas=[META])
    assert result.bboxes.shape == (0, 4)
    assert result.scores.shape == result.labels.shape == (0,)


def test_rpn_is_depthwise_separable_and_shared_over_levels():
    rpn = make_rpn()
    convolutions = [m for m in rpn.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.groups, c.kernel_size[0]) for c in convolutions] == [(8, 5), (1, 1), (1, 1), (1, 1)]
    scores, deltas = rpn([torch.randn(1, 8, *size) for size in SIZES])
    assert [s.shape for s in scores] == [(1, 6, *size) for size in SIZES]
    assert [d.shape for d in deltas] == [(1, 24, *size) for size in SIZES]


def test_rpn_starts_with_predictions_near_zero_and_a_tower_that_keeps_the_scale():
    rpn = make_rpn()
    rpn.init_weights()
    for layer in (rpn.rpn_cls, rpn.rpn_reg):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.3)
    depthwise = rpn.rpn_conv.depthwise_conv.conv.weight
    assert depthwise.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.3)


def test_rpn_refuses_a_softmax():
    with pytest.raises(ConfigError, match='use_sigmoid'):
        make_rpn(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False))


@pytest.mark.parametrize('kernel_size', [3, 5])
def test_neck_keeps_sizes_and_has_no_dense_3x3(kernel_size):
    neck = LightFPN([12, 24, 48], 16, kernel_size=kernel_size, norm_cfg=dict(type='BN'))
    neck.init_weights()
    inputs = [torch.randn(2, c, *s) for c, s in zip((12, 24, 48), SIZES, strict=True)]
    outputs = neck(inputs)
    assert [o.shape for o in outputs] == [(2, 16, *size) for size in SIZES]
    sum(o.sum() for o in outputs).backward()
    assert all(p.grad is not None for p in neck.parameters())
    wide = [m for m in neck.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(wide) == 3
    assert all(c.groups == c.in_channels and c.kernel_size[0] == kernel_size for c in wide)


def test_coarse_levels_reach_fine_ones():
    neck = LightFPN([4, 4], 8, norm_cfg=dict(type='BN')).eval()
    fine, coarse = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 4, 4)
    before = neck([fine, coarse])[0]
    assert not torch.equal(before, neck([fine, coarse + 1])[0])


def test_neck_folds_its_batch_norms():
    neck = LightFPN([12, 24], 16, norm_cfg=dict(type='BN'))
    inputs = [torch.randn(2, 12, 8, 8), torch.randn(2, 24, 4, 4)]
    for _ in range(3):
        neck(inputs)
    neck.eval()
    expected = neck(inputs)
    fuse_conv_bn(neck)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in neck.modules())
    for got, want in zip(neck(inputs), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
