from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models import FP32SingleRoIExtractor, SharedRoIStage, ShuffleNetV1

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

SMALL = dict(type='ShuffleNetV1', groups=3, widen_factor=0.25)


def test_stage_is_the_last_one_of_the_backbone():
    backbone = MODELS.build(SMALL).eval()
    shared = MODELS.build(dict(type='SharedRoIStage', backbone=SMALL)).eval()
    shared.load_state_dict(backbone.layers[2].state_dict())
    features = backbone(torch.rand(2, 3, 64, 64))
    assert torch.equal(shared(features[2]), features[3])
    assert shared.out_channels == backbone.out_channels[3]


def test_another_stage_can_be_shared():
    shared = SharedRoIStage(SMALL, stage=2)
    assert shared.out_channels == ShuffleNetV1(groups=3, widen_factor=0.25).out_channels[2]


def test_stage_takes_its_weights_from_a_checkpoint_of_the_backbone(tmp_path):
    backbone = MODELS.build(SMALL)
    path = tmp_path / 'backbone.pth'
    torch.save({f'backbone.{k}': v for k, v in backbone.state_dict().items()}, path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.layers.2.')
    shared = SharedRoIStage(SMALL, init_cfg=init_cfg)
    shared.init_weights()
    for key, value in backbone.layers[2].state_dict().items():
        assert torch.equal(shared.state_dict()[key], value), key


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_eval_and_a_frozen_backbone(norm_eval):
    shared = SharedRoIStage({**SMALL, 'frozen_stages': 2}, norm_eval=norm_eval).train()
    norms = [m for m in shared.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.training != norm_eval for m in norms)
    assert all(p.requires_grad for p in shared.parameters())


def test_backbone_without_stages_is_refused():
    with pytest.raises((ConfigError, TypeError)):
        SharedRoIStage(dict(type='Darknet', depth=53))


def test_coordinates_of_rois_keep_their_precision_in_mixed_precision():
    settings = dict(
        roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
        out_channels=4,
        featmap_strides=[16],
    )
    extractor = FP32SingleRoIExtractor(**settings)
    features = torch.rand(1, 4, 40, 60).bfloat16()
    rois = torch.tensor([[0, 701.3, 302.2, 771.9, 411.4]])
    expected = extractor((features.float(),), rois)
    assert torch.equal(extractor((features,), rois), expected)
