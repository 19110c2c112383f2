"""RTMDet's head in the size of ShuffleNet: shared convolutions, boxes that begin with a size."""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from ..conftest import ROOT

CONFIG = ROOT / 'configs' / 'rtmdet' / 'rtmdet_shufflenet-v1-0.5x-g3_light_coco-320.py'


def head(**options):
    model = MODELS.build(Config.fromfile(CONFIG).model.bbox_head | options)
    model.init_weights()
    return model


def test_levels_share_convolutions_and_have_norms_of_their_own():
    built = head()
    for branch in (built.cls_convs, built.reg_convs):
        first, *others = branch
        for other in others:
            for a, b in zip(first, other, strict=True):
                for part in ('depthwise_conv', 'pointwise_conv'):
                    assert getattr(a, part).conv is getattr(b, part).conv
                    assert getattr(a, part).bn is not getattr(b, part).bn


@pytest.mark.parametrize('prior', [1.0, 4.0])
def test_boxes_begin_as_squares_of_twice_the_prior(prior: float):
    built = head(prior=prior).eval()
    maps = [torch.randn(1, 96, size, size) for size in (8, 4, 2)]
    _, distances = built(maps)
    for distance, (stride, _) in zip(distances, built.prior_generator.strides, strict=True):
        torch.testing.assert_close(distance, torch.full_like(distance, prior * stride))


def test_sizes_of_boxes_are_learned():
    built = head()
    _, distances = built([torch.randn(2, 96, s, s) for s in (8, 4, 2)])
    sum(d.log().sum() for d in distances).backward()
    for layer in built.rtm_reg:
        assert layer.weight.grad.abs().sum() > 0
