"""Every config of a detector builds, takes a training step and predicts."""
from pathlib import Path

from shufflenet_det.models import SharedRoIStage

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.hub import get_config
from torch import nn

from ..conftest import ROOT

DETECTORS = sorted(
    p
    for p in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in p.parts and p.name.startswith(('faster', 'rtmdet'))
)
CONFIGS = [p for p in DETECTORS if p.name.startswith('faster')]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / 'configs').as_posix()


@pytest.mark.parametrize('path', DETECTORS, ids=name_of)
def test_config_trains_and_predicts(path: Path):
    cfg = Config.fromfile(path)
    assert len(path.read_text().splitlines()) <= 40
    if 'roi_head' in cfg.model:
        # as small as the network allows: the test is of the wiring
        cfg.model.train_cfg.rcnn.sampler.num = 8
        cfg.model.test_cfg.rpn.max_per_img = 8
    model = MODELS.build(cfg.model)
    model.init_weights()
    num_classes = cfg.model.get('roi_head', cfg.model).bbox_head.num_classes
    inputs = demo_mm_inputs(1, [[3, 96, 128]], num_items=[2], num_classes=num_classes)

    model.train()
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    # DistributedDataParallel stops at parameters without a gradient
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused

    model.eval()
    with torch.no_grad():
        (result,) = model(**model.data_preprocessor(inputs, False), mode='predict')
    assert set(result.pred_instances.keys()) == {'bboxes', 'scores', 'labels'}


def test_configs_are_found():
    names = {name_of(p) for p in CONFIGS}
    assert 'faster_rcnn_shufflenet.py' in names
    for width in ('0.5x', '1x', '2x'):
        for detector in ('c4', 'fpn'):
            for resolution in (300, 600):
                name = f'faster-rcnn_shufflenet-v1-{width}-g3_{detector}_2x_coco-{resolution}.py'
                assert f'faster_rcnn/{name}' in names
    for width in ('0.5x', '1x'):
        for resolution in (300, 600):
            name = f'faster-rcnn_shufflenet-v1-{width}-g3_light_2x_coco-{resolution}.py'
            assert f'faster_rcnn/{name}' in names
        name = f'rtmdet_shufflenet-v1-{width}-g3_light_coco-320.py'
        assert ROOT / 'configs' / 'rtmdet' / name in DETECTORS


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_train_and_test_resolution_are_that_of_the_name(path: Path):
    cfg = Config.fromfile(path)
    resolution = 300 if '300' in path.stem else 600
    for dataset in (cfg.train_dataloader.dataset, cfg.test_dataloader.dataset):
        scale = next(t['scale'] for t in dataset.pipeline if t['type'] == 'Resize')
        assert tuple(scale) == {300: (500, 300), 600: (1000, 600)}[resolution]
    assert cfg.test_evaluator.ann_file == cfg.test_dataloader.dataset.data_root + (
        cfg.test_dataloader.dataset.ann_file
    )


def test_data_root_is_read_from_the_environment(monkeypatch):
    path = ROOT / 'configs' / 'faster_rcnn_shufflenet.py'
    assert Config.fromfile(path).train_dataloader.dataset.data_root == 'data/coco/'
    monkeypatch.setenv('COCO_DATA_ROOT', '/elsewhere')
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.dataset.data_root == '/elsewhere/'
    assert cfg.val_evaluator.ann_file == '/elsewhere/annotations/instances_val2017.json'


@pytest.mark.parametrize('detector', ['c4', 'fpn', 'light'])
def test_pretrained_weights_reach_backbone_and_shared_stage(detector, tmp_path, monkeypatch):
    donor = MODELS.build(dict(type='ShuffleNetV1'))
    state = {f'backbone.{k}': torch.full_like(v, 3) for k, v in donor.state_dict().items()}
    checkpoint = tmp_path / 'imagenet.pth'
    torch.save(dict(state_dict=state), checkpoint)
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', str(checkpoint))
    name = f'faster-rcnn_shufflenet-v1-1x-g3_{detector}_2x_coco-600.py'
    model = MODELS.build(Config.fromfile(ROOT / 'configs' / 'faster_rcnn' / name).model)
    model.init_weights()
    model.train()
    parts = [model.backbone] + ([model.roi_head.shared_head] if detector == 'c4' else [])
    for part in parts:
        assert all((v == 3).all() for v in part.state_dict().values())
        norms = [m for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms and {m.training for m in norms} == {detector == 'light'}
    if detector == 'c4':
        assert isinstance(model.roi_head.shared_head, SharedRoIStage)


def test_one_line_and_the_necks_channels_change_mmdetections_retinanet():
    cfg = get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    cfg.model.backbone = dict(type='ShuffleNetV1', out_indices=(0, 1, 2, 3))
    cfg.model.neck.in_channels = [24, 240, 480, 960]
    model = MODELS.build(cfg.model)
    inputs = demo_mm_inputs(2, [[3, 96, 128]] * 2, num_items=[2, 1], num_classes=80)
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    # the neck starts at stride 8 there, so the stem's output is built and not used
    assert model.backbone.conv1.conv.weight.grad.abs().sum() > 0
    model.eval()
    with torch.no_grad():
        assert len(model(**model.data_preprocessor(inputs, False), mode='predict')) == 2
