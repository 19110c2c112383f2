"""A backbone that comes with its weights: variant, shuffle order and preprocessing follow them."""
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.compat.checkpoint import CheckpointError, UnsafeCheckpointError
from shufflenet_det.swap import SwapError, plan_swap
from shufflenet_det.swap.backbone import choose_backbone
from shufflenet_det.swap.names import backbone_config
from shufflenet_det.weights import describe_checkpoint
from shufflenet_det.weights.convert import as_file, convert

import mmpretrain.models.backbones as mmpretrain_backbones
import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from mmengine.config import Config

from ..compat.checkpoint_payloads import RUNNING, write
from ..conftest import ROOT
from ..weights.networks import AuthorsNet

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
C4 = 'mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py'


@pytest.fixture
def authors_file(tmp_path: Path) -> Path:
    """The authors' 0.5x with g=8, whose stem, shuffle and pixels are all unlike our defaults."""
    state_dict = AuthorsNet(8, 0.5).state_dict()
    torch.save(state_dict, tmp_path / 'authors.pth')
    out = tmp_path / 'ours.safetensors'
    out.write_bytes(as_file(convert(state_dict, 'authors.pth'), out.suffix))
    return out


def test_network_and_pixels_follow_the_weights(authors_file):
    cfg = plan_swap(RETINANET, checkpoint=str(authors_file)).cfg
    backbone = cfg.model.backbone
    assert (backbone.groups, backbone.widen_factor, backbone.stem_channels) == (8, 0.5, 16)
    assert backbone.shuffle == 'transposed'
    assert cfg.model.neck.in_channels == [16, 192, 384, 768]
    preprocessor = cfg.model.data_preprocessor
    assert preprocessor.mean == [0, 0, 0] and preprocessor.std == [1, 1, 1]
    assert preprocessor.bgr_to_rgb is False
    # loads every tensor, and is not refused for shuffle or preprocessing
    model = MODELS.build(cfg.model)
    model.init_weights()
    state = model.backbone.state_dict()
    first = torch.load(authors_file.parent / 'authors.pth')['first_conv.0.weight']
    assert torch.equal(state['conv1.conv.weight'], first)


def test_shared_stage_of_a_c4_detector_loads_its_part(authors_file):
    cfg = plan_swap(C4, checkpoint=str(authors_file)).cfg
    model = MODELS.build(cfg.model)
    model.init_weights()
    source = torch.load(authors_file.parent / 'authors.pth')
    shared = model.roi_head.shared_head.state_dict()
    assert torch.equal(
        shared['3.g_conv_1x1_expand.conv.weight'], source['features.15.branch_main_2.0.weight']
    )
    assert model.roi_head.shared_head.norm_eval and model.backbone.norm_eval


def test_changing_what_the_weights_need_afterwards_is_an_error(authors_file):
    for key, value, message in (
        ('backbone.shuffle', 'standard', 'shuffle'),
        ('data_preprocessor.bgr_to_rgb', True, 'RGB'),
        ('data_preprocessor.mean', [123.675, 116.28, 103.53], 'mean'),
    ):
        cfg = plan_swap(RETINANET, checkpoint=str(authors_file)).cfg
        cfg.merge_from_dict({f'model.{key}': value})
        with pytest.raises(CheckpointError, match=message):
            MODELS.build(cfg.model).init_weights()


def test_name_and_weights_must_be_of_one_network(authors_file):
    named = plan_swap(RETINANET, 'shufflenet-v1-0.5x-g8', str(authors_file)).cfg
    assert named.model.backbone == plan_swap(
        RETINANET, checkpoint=str(authors_file)
    ).cfg.model.backbone
    for name in ('shufflenet-v1-1x-g8', 'shufflenet-v1-0.5x-g3', 'mobilenet-v1-1.0'):
        with pytest.raises(SwapError, match='holds the weights of ShuffleNetV1'):
            plan_swap(RETINANET, name, str(authors_file))


def test_public_weights_by_name_need_no_download():
    cfg = plan_swap(RETINANET, checkpoint='shufflenet://mmpretrain-1x-g3').cfg
    assert cfg.model.backbone.init_cfg.prefix == 'backbone.'
    assert 'shuffle' not in cfg.model.backbone
    assert cfg.model.data_preprocessor.bgr_to_rgb is True


def test_weights_that_cannot_be_are_refused_before_anything_is_changed(tmp_path):
    authors = tmp_path / 'authors.pth'
    torch.save(AuthorsNet(3, 0.5).state_dict(), authors)
    with pytest.raises(SwapError, match='convert_weights.py'):
        plan_swap(RETINANET, checkpoint=str(authors))
    other = tmp_path / 'resnet.pth'
    torch.save(torchvision.models.resnet18().state_dict(), other)
    with pytest.raises(SwapError, match='does not tell its network'):
        plan_swap(RETINANET, checkpoint=str(other))
    authors.write_bytes(authors.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match='cut short|damaged'):
        plan_swap(RETINANET, checkpoint=str(authors))
    with pytest.raises(CheckpointError, match='can not be found'):
        plan_swap(RETINANET, checkpoint=str(tmp_path / 'none.pth'))
    with pytest.raises(CheckpointError, match='of this name is shufflenet://authors-1x-g3'):
        plan_swap(RETINANET, checkpoint='authors-1x-g3')
    torch.save(dict(epoch=3), other)
    with pytest.raises(CheckpointError, match='there is no tensor in it.*epoch'):
        plan_swap(RETINANET, 'mobilenet-v1-0.5', str(other))


def test_weights_of_another_backbone_of_the_package(tmp_path):
    source = MODELS.build(dict(type='MobileNetV1', widen_factor=0.25))
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in source.state_dict().items()}),
        tmp_path / 'mobilenet.pth',
    )
    path = str(tmp_path / 'mobilenet.pth')
    assert describe_checkpoint(path).layout == 'other'
    cfg = plan_swap(RETINANET, 'mobilenet-v1-0.25', path).cfg
    model = MODELS.build(cfg.model)
    model.init_weights()
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, source.state_dict()[key])


@pytest.mark.parametrize('name', ['shufflenet-v1-1x-g3', 'mobilenet-v1-0.5'])
def test_weights_that_fit_in_part_are_refused(name, tmp_path):
    """Those of ShuffleNet v2 have a stem of the same names and shape: they would load in part."""
    net = mmpretrain_backbones.ShuffleNetV2(widen_factor=1.0)
    state = {f'backbone.{k}': v for k, v in net.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'v2.pth')
    with pytest.raises(SwapError, match='does not hold the weights of'):
        plan_swap(RETINANET, name, str(tmp_path / 'v2.pth'))


def test_backbone_of_a_c4_detector_lacks_a_stage_and_is_refused(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs' / 'faster_rcnn_shufflenet.py')
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state), tmp_path / 'c4.pth')
    with pytest.raises(SwapError, match='all stages .*convert_weights.py'):
        plan_swap(RETINANET, checkpoint=str(tmp_path / 'c4.pth'))


def test_weights_of_torchvision_get_the_pixels_that_they_need(tmp_path):
    for name, mean in (('googlenet', 127.5), ('alexnet', 123.675)):
        source = MODELS.build(backbone_config(name))
        torch.save(source.state_dict(), tmp_path / f'{name}.pth')
        cfg = plan_swap(RETINANET, name, str(tmp_path / f'{name}.pth')).cfg
        assert cfg.model.data_preprocessor.mean[0] == mean
        assert 'prefix' not in cfg.model.backbone.init_cfg


def test_code_in_a_checkpoint_is_refused_not_run(tmp_path):
    marker = tmp_path / 'ran'
    write(tmp_path / 'evil.pth', RUNNING['os.system'](marker))
    with pytest.raises(UnsafeCheckpointError):
        plan_swap(RETINANET, checkpoint=str(tmp_path / 'evil.pth'))
    assert not marker.exists()


@pytest.mark.parametrize(
    'channels, reason',
    [(5, r'must name stages 2, 3 and 4, three numbers; got 5\.'), ('abc', 'positive integers')],
)
def test_channels_that_are_no_list_are_said(channels, reason):
    stated = dict(type='ShuffleNetV1', groups=3, stage_channels=channels)
    with pytest.raises(ConfigError, match=f'stage_channels.* {reason}'):
        choose_backbone(stated, 'shufflenet://tiny-imagenet-0.5x-g3')
