"""The networks that the paper compares ShuffleNet with have the complexity that it states."""
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models import (
    MobileNetV1,
    ResNetLike,
    ResNeXtLike,
    ShuffleNetV1,
    VGGLike,
    XceptionLike,
)
from shufflenet_det.models.comparison_units import BottleneckUnit

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

LIKE = (VGGLike, ResNetLike, ResNeXtLike, XceptionLike)
BUDGETS = (140, 38, 13)


@torch.no_grad()
def counted_mflops(kind: type[nn.Module], **kwargs) -> float:
    """Multiply-adds in millions at 224x224 of a network with 1000 classes."""
    model = kind(**kwargs).eval()
    classifier = nn.Linear(model.out_channels[-1], 1000)
    with FlopCounterMode(display=False) as counter:
        *_, last = model(torch.zeros(1, 3, 224, 224))
        classifier(last.mean(dim=(2, 3)))
    return counter.get_total_flops() / 2 / 1e6


@pytest.mark.parametrize('mflops', BUDGETS)
@pytest.mark.parametrize('kind', LIKE)
def test_every_unit_meets_every_budget(kind, mflops):
    assert counted_mflops(kind, mflops=mflops) == pytest.approx(mflops, rel=0.025)


@pytest.mark.parametrize(('kind', 'divisor'), [(VGGLike, 1), (ResNetLike, 4), (ResNeXtLike, 2)])
@pytest.mark.parametrize('mflops', BUDGETS)
def test_widths_follow_the_documented_rule(kind, divisor, mflops):
    stem, stages = kind.widths[mflops]

    def by_rule(width: int) -> tuple[int, ...]:
        return tuple(divisor * int(width / part / divisor + 0.5) for part in (4, 2, 1))

    assert stages == by_rule(stages[-1])
    assert stem == XceptionLike.widths[mflops][0]
    chosen = abs(counted_mflops(kind, mflops=mflops) - mflops)
    for neighbour in (stages[-1] - divisor, stages[-1] + divisor):
        other = counted_mflops(kind, stem_channels=stem, stage_channels=by_rule(neighbour))
        assert abs(other - mflops) > chosen


@pytest.mark.parametrize('kind', LIKE)
def test_skeleton_is_that_of_table_1(kind):
    model = kind(mflops=13)
    assert [len(stage) for stage in model.layers] == [4, 8, 4]
    reference = ShuffleNetV1(widen_factor=0.25)
    for part in ('conv1', 'maxpool'):
        assert str(getattr(model, part)) == str(getattr(reference, part))


@pytest.mark.parametrize(('mflops', 'factor'), [(140, 1.0), (38, 0.5), (13, 0.25)])
def test_xception_like_is_shufflenet_without_groups_and_shuffle(mflops, factor):
    model = XceptionLike(mflops=mflops).eval()
    reference = ShuffleNetV1(groups=1, widen_factor=factor, shuffle='none').eval()
    model.load_state_dict(reference.state_dict())
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(model(image), reference(image), strict=True):
        assert torch.equal(a, b)
    grouped = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert grouped and all(m.kernel_size == (3, 3) and m.groups == m.in_channels for m in grouped)


@pytest.mark.parametrize(('kind', 'ratio', 'groups'), [(ResNetLike, 4, 1), (ResNeXtLike, 2, 16)])
def test_bottlenecks_have_the_papers_ratio_and_cardinality(kind, ratio, groups):
    for stage in kind(mflops=140).layers:
        for unit in stage:
            middle = unit.conv2.conv
            assert middle.groups == groups and middle.kernel_size == (3, 3)
            # at most half a channel a group away
            assert abs(middle.in_channels - unit.conv3.conv.out_channels / ratio) <= groups / 2


@torch.no_grad()
def test_bottleneck_adds_its_input():
    unit = BottleneckUnit(8, 8).eval()
    unit.conv3.bn.weight.zero_()
    x = torch.randn(2, 8, 5, 7)
    assert torch.equal(unit(x), x.relu())


def test_widths_can_be_given():
    model = ResNetLike(stem_channels=10, stage_channels=[20, 40, 60])
    assert model.out_channels == (10, 20, 40, 60)
    assert ResNetLike(mflops=13, stem_channels=10).out_channels == (10, 24, 48, 96)


@pytest.mark.parametrize('kind', LIKE)
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(mflops=50), r'mflops=\[13, 38, 140\], not for 50'),
        (dict(mflops=[140]), r'not for \[140\]'),
        (dict(stage_channels=(32, 64)), 'stages 2, 3 and 4'),
        (dict(stage_channels=64), 'stages 2, 3 and 4'),
        (dict(stage_channels=(64, 0, 256)), 'positive integers'),
        (dict(stem_channels=2.5), 'positive integers'),
    ],
)
def test_widths_that_cannot_be_are_named(kind, arguments, message):
    with pytest.raises(ConfigError, match=message):
        kind(**arguments)


def test_bottleneck_that_does_not_divide_is_named():
    with pytest.raises(ConfigError, match='98 channels.*multiples of 4'):
        ResNetLike(stage_channels=(96, 98, 384))


def test_bottleneck_that_cannot_add_its_input_is_named():
    with pytest.raises(ConfigError, match=r'in_channels \(8\) and out_channels \(16\)'):
        BottleneckUnit(8, 16, stride=1)


@pytest.mark.parametrize(
    ('factor', 'mflops', 'channels'),
    [
        (1.0, 569, (128, 256, 512, 1024)),
        (0.75, 325, (96, 192, 384, 768)),
        (0.5, 149, (64, 128, 256, 512)),
        (0.25, 41, (32, 64, 128, 256)),
    ],
)
def test_mobilenet_has_the_papers_widths_and_complexity(factor, mflops, channels):
    assert MobileNetV1(factor).out_channels == channels
    assert counted_mflops(MobileNetV1, widen_factor=factor) == pytest.approx(mflops, rel=0.005)


def test_mobilenet_has_28_layers_with_the_classifier():
    convolutions = [m for m in MobileNetV1().modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 == 28


@pytest.mark.parametrize('factor', [0.01, 0.33, 1.3, 3])
def test_mobilenet_of_any_width_builds(factor):
    model = MobileNetV1(factor).eval()
    assert all(width % 8 == 0 for width in model.out_channels)
    assert len(model(torch.rand(1, 3, 32, 32))) == 4


@pytest.mark.parametrize('factor', [0, -1.0, 'wide', None, float('nan'), True])
def test_width_factor_that_cannot_be_is_named(factor):
    with pytest.raises(ConfigError, match='widen_factor'):
        MobileNetV1(factor)
