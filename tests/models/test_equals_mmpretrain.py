"""The network of mmpretrain, an independent implementation, as the reference."""
import itertools
from pathlib import Path

from shufflenet_det.models import ShuffleNetV1
from shufflenet_det.models.widths import STAGE2_CHANNELS

import pytest
import torch

backbones = pytest.importorskip(
    'mmpretrain.models.backbones', reason='mmpretrain, the reference, is not installed'
)
utils = pytest.importorskip(
    'mmpretrain.models.utils', reason='mmpretrain, the reference, is not installed'
)

PAIRS = list(itertools.product((0.25, 0.5, 1.0, 1.5, 2.0), STAGE2_CHANNELS))


def build_reference(factor: float, groups: int) -> torch.nn.Module | None:
    try:
        reference = backbones.ShuffleNetV1(
            groups=groups, widen_factor=factor, out_indices=(0, 1, 2)
        )
    except ValueError:
        return None
    reference.init_weights()
    for name, tensor in reference.state_dict().items():
        if 'running' in name:
            tensor.uniform_(0.5, 1.5)
    reference.eval()  # returns None there
    return reference


def build_ours(factor: float, groups: int, **kwargs) -> ShuffleNetV1:
    stages = [STAGE2_CHANNELS[groups] * 2**i * factor for i in range(3)]
    return ShuffleNetV1(
        groups=groups,
        stem_channels=int(24 * factor),
        stage_channels=[utils.make_divisible(width, 8) for width in stages],
        **kwargs,
    ).eval()


def test_mmpretrain_builds_18_of_the_25_pairs():
    assert sum(build_reference(*pair) is not None for pair in PAIRS) == 18


@pytest.mark.parametrize(('factor', 'groups'), PAIRS)
def test_same_weights_same_output(factor, groups):
    reference = build_reference(factor, groups)
    if reference is None:
        pytest.skip('mmpretrain cannot build this pair: its widths do not divide')
    ours = build_ours(factor, groups, out_indices=(1, 2, 3))
    ours.load_state_dict(reference.state_dict())
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        for a, b in zip(ours(image), reference(image), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_default_widths_at_1x_and_2x_are_those_of_mmpretrain():
    for factor in (1.0, 2.0):
        reference = build_reference(factor, 3)
        ours = ShuffleNetV1(groups=3, widen_factor=factor)
        ours.load_state_dict(reference.state_dict())


def test_classifier_checkpoint_loads_by_prefix(tmp_path: Path):
    reference = build_reference(1.0, 3)
    state = {f'backbone.{k}': v for k, v in reference.state_dict().items()}
    state['head.fc.weight'] = torch.zeros(1000, 960)
    checkpoint = tmp_path / 'classifier.pth'
    torch.save(dict(meta={}, state_dict=state), checkpoint)
    ours = ShuffleNetV1(
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint), prefix='backbone.')
    )
    ours.init_weights()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(image)[1:], reference(image))
