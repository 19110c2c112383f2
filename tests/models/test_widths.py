import itertools

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models import ShuffleNetV1
from shufflenet_det.models.widths import (
    PAPER_MFLOPS,
    SHALLOW_STAGE_BLOCKS,
    STAGE2_CHANNELS,
    count_mflops,
    shufflenet_v1_widths,
)

import pytest
import torch
from mmengine.analysis import FlopAnalyzer

FACTORS = (0.25, 0.5, 1.0, 1.5, 2.0)
PAIRS = list(itertools.product(FACTORS, STAGE2_CHANNELS))


def counted_mflops(model: torch.nn.Module) -> float:
    """Multiply-adds of the convolutions, counted from a run of the network itself."""
    analyzer = FlopAnalyzer(model.eval(), torch.zeros(1, 3, 224, 224))
    analyzer.unsupported_ops_warnings(False)
    return analyzer.by_operator()['conv'] / 1e6


@pytest.mark.parametrize(('factor', 'groups'), PAIRS)
def test_every_pair_of_the_paper_builds_near_its_complexity(factor, groups):
    model = ShuffleNetV1(groups=groups, widen_factor=factor)
    outputs = model(torch.rand(1, 3, 64, 64))
    assert [o.shape[1] for o in outputs] == list(model.out_channels)
    stem, stages = shufflenet_v1_widths(groups, factor)
    complexity = count_mflops(stem, stages, groups)
    if (factor, groups) in PAPER_MFLOPS:
        # 0.25x and 0.5x with g=8 miss by 4.4% and 3.7%: only stems of 8 or 16 channels divide
        assert complexity == pytest.approx(PAPER_MFLOPS[factor, groups], rel=0.045)


@pytest.mark.parametrize('groups', STAGE2_CHANNELS)
def test_formula_counts_what_the_network_does(groups):
    stem, stages = shufflenet_v1_widths(groups, 1.0)
    formula = count_mflops(stem, stages, groups, num_classes=0)
    assert formula == pytest.approx(counted_mflops(ShuffleNetV1(groups=groups)), rel=1e-6)


def test_complexity_at_1x_is_the_papers_by_exact_widths():
    expected = {1: 143.1, 2: 140.8, 3: 137.5, 4: 134.3, 8: 138.4}
    for groups, mflops in expected.items():
        stem, stages = shufflenet_v1_widths(groups, 1.0)
        assert (stem, stages[0]) == (24, STAGE2_CHANNELS[groups])
        assert count_mflops(stem, stages, groups) == pytest.approx(mflops, abs=0.05)


def test_shallow_net_meets_the_complexity_of_table_5():
    stem, stages = shufflenet_v1_widths(3, 0.5, shallow=True)
    assert count_mflops(stem, stages, 3, SHALLOW_STAGE_BLOCKS) == pytest.approx(40, rel=0.03)
    model = ShuffleNetV1(groups=3, widen_factor=0.5, shallow=True)
    assert [len(stage) for stage in model.layers] == [2, 4, 2]
    assert model.out_channels == (stem, *stages)


@pytest.mark.parametrize('groups', STAGE2_CHANNELS)
@pytest.mark.parametrize('factor', [0.1, 0.33, 0.75, 1.25, 3.0])
def test_other_factors_build(factor, groups):
    try:
        model = ShuffleNetV1(groups=groups, widen_factor=factor)
    except ConfigError as error:
        assert factor == 0.1, error
    else:
        assert len(model.eval()(torch.rand(1, 3, 32, 32))) == 4


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(groups=5), r'groups=5 .*\[1, 2, 3, 4, 8\]'),
        (dict(groups=0), 'groups=0'),
        (dict(widen_factor=0), 'widen_factor=0'),
        (dict(widen_factor=-1.0), 'widen_factor=-1.0'),
        (dict(widen_factor='big'), "widen_factor must be a number, not 'big'"),
        (dict(widen_factor=float('nan')), 'widen_factor=nan'),
        (dict(stage_channels=(240, 480)), 'stages 2, 3 and 4'),
        (dict(stage_channels=(244, 480, 960)), 'multiple of 12, such as 240 or 252'),
        (dict(stem_channels=25), 'stem_channels of 24 or 27'),
        (dict(stage_channels=(240, 240, 960)), 'must be wider'),
        (dict(stem_channels=24.0), 'positive integers'),
    ],
)
def test_widths_that_cannot_be_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ShuffleNetV1(**arguments)


@pytest.mark.parametrize(
    ('groups', 'factor', 'stem'),
    [(3, 0.5, 12), (3, 1, 24), (3, 1.5, 24), (3, 2, 48), (8, 0.5, 16), (8, 1, 24), (8, 1.5, 24),
     (8, 2, 48)],
)  # fmt: skip
def test_widths_of_the_authors_release_can_be_given(groups, factor, stem):
    stages = [int(STAGE2_CHANNELS[groups] * factor) * 2**i for i in range(3)]
    model = ShuffleNetV1(groups=groups, stem_channels=stem, stage_channels=stages)
    assert model.out_channels == (stem, *stages)
