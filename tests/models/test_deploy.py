"""The deploy form: the results of the network it was made from."""
import copy
import pickle
from operator import attrgetter

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models import DeployConv2d, backbones, onednn, switch_to_deploy
from shufflenet_det.swap import backbone_names
from shufflenet_det.swap.names import backbone_config

import pytest
import torch
from mmcv.cnn import ConvModule
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from torch import nn

from ..conftest import ROOT
from .networks import assert_same, used

FPN = ROOT / 'configs' / 'faster_rcnn' / 'faster-rcnn_shufflenet-v1-0.5x-g3_fpn_2x_coco-300.py'
C4 = ROOT / 'configs' / 'sample' / 'faster-rcnn_shufflenet-v1-0.5x-g3_c4_sample-300.py'


SOME = [
    name for name in backbone_names() if '1x' in name or '-13' in name or 'shufflenet' not in name
]


@pytest.mark.parametrize('name', SOME)
@torch.no_grad()
def test_every_backbone_gives_the_same_levels(name):
    model = used(backbone_config(name))
    x = torch.rand(2, 3, 97, 75)
    deployed = switch_to_deploy(copy.deepcopy(model))
    left = {type(module) for module in deployed.modules()}
    assert not left & {ConvModule, nn.BatchNorm2d, nn.Conv2d}
    for a, b in zip(deployed(x), model(x), strict=True):
        assert_same(a, b)


def test_all_kinds_of_backbones_are_among_them():
    assert {backbone_config(name)['type'] for name in SOME} == set(backbones())


@pytest.mark.parametrize('path', [FPN, C4], ids=['fpn', 'c4'])
@torch.no_grad()
def test_detector_gives_the_same_scores_and_boxes(path):
    model = used(Config.fromfile(path).model)
    batch = model.data_preprocessor(demo_mm_inputs(1, [[3, 160, 128]], num_classes=3))
    deployed = switch_to_deploy(copy.deepcopy(model))
    assert any(isinstance(module, DeployConv2d) for module in deployed.rpn_head.modules())
    for a, b in zip(
        deployed.extract_feat(batch['inputs']), model.extract_feat(batch['inputs']), strict=True
    ):
        assert_same(a, b)
    features = model.extract_feat(batch['inputs'])
    rois = torch.tensor([[0.0, 10, 20, 90, 120], [0, 3, 3, 30, 40]])
    for part, arguments in (('rpn_head.forward', [features]),
                            ('roi_head._bbox_forward', [features, rois])):  # fmt: skip
        outputs = [attrgetter(part)(m)(*arguments) for m in (deployed, model)]
        for a, b in zip(*map(_tensors, outputs), strict=True):
            assert_same(a, b)


def _tensors(node: object) -> list[torch.Tensor]:
    if isinstance(node, torch.Tensor):
        return [node]
    items = node.values() if isinstance(node, dict) else node
    return [tensor for item in items for tensor in _tensors(item)]


@pytest.fixture
def deployed() -> nn.Module:
    return switch_to_deploy(used(dict(type='ShuffleNetV1', widen_factor=0.5)))


@torch.no_grad()
def test_other_ways_to_run_it_give_the_same(deployed, monkeypatch):
    x = torch.rand(1, 3, 64, 64)
    expected = deployed(x)[-1]
    for other in (
        torch.jit.trace(deployed, x, check_trace=False)(x)[-1],
        copy.deepcopy(deployed).double()(x.double())[-1].float(),
        pickle.loads(pickle.dumps(deployed))(x)[-1],
    ):
        assert_same(other, expected)
    with torch.autocast('cpu', torch.bfloat16):
        assert (deployed(x)[-1] - expected).abs().max() < 0.1 * expected.abs().max()
    with monkeypatch.context() as patch:
        patch.setattr(onednn, 'is_available', lambda: False)
        assert_same(deployed(x)[-1], expected)
    assert deployed(x[:0])[-1].shape == (0, *expected.shape[1:])


def test_gradient_reaches_the_image(deployed):
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    deployed(x)[-1].sum().backward()
    assert x.grad.any()


@torch.no_grad()
def test_weights_that_are_loaded_later_are_used(deployed):
    x = torch.rand(1, 3, 64, 64)
    before = deployed(x)[-1]
    deployed.load_state_dict({k: v * 0.5 for k, v in deployed.state_dict().items()})
    assert not torch.allclose(deployed(x)[-1], before)


def test_it_cannot_be_trained(deployed):
    with pytest.raises(ConfigError, match='deploy form and cannot be trained'):
        deployed.train()
    assert switch_to_deploy(deployed) is deployed


@torch.no_grad()
def test_convolutions_that_are_no_plain_ones_stay():
    layers = nn.Sequential(
        ConvModule(4, 8, 3, norm_cfg=dict(type='GN', num_groups=2)),
        ConvModule(8, 8, 3, norm_cfg=dict(type='BN'), act_cfg=dict(type='SiLU')),
        ConvModule(8, 8, 3, padding=1, padding_mode='reflect', norm_cfg=dict(type='BN')),
        ConvModule(8, 8, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act')),
        nn.Conv2d(8, 8, 3, padding='same'),
    ).eval()
    x = torch.rand(2, 4, 16, 16)
    expected = layers(x)
    switch_to_deploy(layers)
    kinds = [isinstance(layer, DeployConv2d) for layer in layers]
    assert kinds == [False, True, False, False, False]
    assert_same(layers(x), expected)


@pytest.mark.skipif(not onednn.is_available(), reason='this PyTorch has no fused convolutions')
def test_weights_are_in_the_order_for_each_size_of_map():
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 96, 1, groups=3)
    deployed = switch_to_deploy(nn.Sequential(copy.deepcopy(conv)))
    with torch.no_grad():
        for size in (7, 7, 14, 28, 29, 7):
            x = torch.randn(1, 24, size, size)
            torch.testing.assert_close(deployed(x), conv(x))
        # 28 and 29 squared are of one class
        assert len(deployed[0]._prepared) == 3
        for size in range(1, 40):
            torch.testing.assert_close(
                deployed(torch.ones(1, 24, size, 3)), conv(torch.ones(1, 24, size, 3))
            )
    assert len(deployed[0]._prepared) <= 16
