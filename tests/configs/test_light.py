"""The light detectors: parts that fit each other, few proposals, and images without any."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from torch import nn

from ..conftest import ROOT

CONFIGS = sorted((ROOT / 'configs').rglob('faster-rcnn_*_light_*.py'))
CONFIGS = [path for path in CONFIGS if '_base_' not in path.parts]


def build(path: Path) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path).model)
    model.init_weights()
    return model


def test_light_detectors_are_found():
    assert len(CONFIGS) == 5


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_parts_agree_about_strides_and_channels(path: Path):
    model = build(path)
    strides = list(model.backbone.out_strides)
    assert [a for a, _ in model.rpn_head.prior_generator.strides] == strides
    assert model.roi_head.bbox_roi_extractor.featmap_strides == strides
    assert model.neck.in_channels == list(model.backbone.out_channels)
    features = model.eval().extract_feat(torch.zeros(1, 3, 96, 128))
    assert [f.shape[2:] for f in features] == [(96 // s, 128 // s) for s in strides]
    anchors = model.rpn_head.prior_generator.grid_priors(
        [f.shape[2:] for f in features], device='cpu'
    )
    scores, _ = model.rpn_head(features)
    assert [len(a) for a in anchors] == [s.numel() for s in scores]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_anchors_halve_with_the_resolution_and_are_in_proportion_to_strides(path: Path):
    generator = build(path).rpn_head.prior_generator
    # levels share the RPN's weights, so an anchor has as many places on each
    sizes = [
        (base[:, 2:] - base[:, :2]) / stride
        for base, (stride, _) in zip(generator.base_anchors, generator.strides, strict=True)
    ]
    for other in sizes[1:]:
        torch.testing.assert_close(other, sizes[0])
    smallest, largest = (
        (base[:, 2:] - base[:, :2]).prod(dim=1).sqrt()
        for base in (generator.base_anchors[0], generator.base_anchors[-1])
    )
    expected = 16 if '300' in path.stem else 32
    assert smallest.min().item() == pytest.approx(expected, rel=0.01)
    assert largest.max().item() == pytest.approx(16 * expected, rel=0.01)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_few_proposals(path: Path):
    model = build(path).eval()
    assert 100 <= model.test_cfg.rpn.max_per_img <= 200
    inputs = demo_mm_inputs(1, [[3, 300, 400]])
    data = model.data_preprocessor(inputs, False)
    with torch.no_grad():
        features = model.extract_feat(data['inputs'])
        (proposals,) = model.rpn_head.predict(features, data['data_samples'], rescale=False)
    assert len(proposals) <= 200


@pytest.mark.parametrize('case', ['no proposals', 'no scores above the threshold', 'black'])
def test_image_without_detections(case: str):
    model = build(CONFIGS[0]).eval()
    inputs = demo_mm_inputs(2, [[3, 96, 128]] * 2)
    if case == 'no proposals':
        model.rpn_head.test_cfg.min_bbox_size = 10000
    elif case == 'no scores above the threshold':
        model.roi_head.test_cfg.score_thr = 1.0
    else:
        inputs['inputs'] = [torch.zeros_like(image) for image in inputs['inputs']]
    with torch.no_grad():
        results = model(**model.data_preprocessor(inputs, False), mode='predict')
    assert len(results) == 2
    for result in results:
        assert result.pred_instances.bboxes.shape == (len(result.pred_instances), 4)
        assert case == 'black' or len(result.pred_instances) == 0


def test_image_without_objects_trains():
    model = build(CONFIGS[0]).train()
    inputs = demo_mm_inputs(2, [[3, 96, 128]] * 2, num_items=[0, 0])
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()


def test_sample_detectors_train_on_the_same_images():
    light, fpn = (
        Config.fromfile(
            ROOT / 'configs' / 'sample' / f'faster-rcnn_shufflenet-v1-0.5x-g3_{kind}_sample-300.py'
        )
        for kind in ('light', 'fpn')
    )
    for key in ('train_cfg', 'train_dataloader', 'test_dataloader', 'randomness'):
        assert light[key] == fpn[key]
    assert light.model.train_cfg.rcnn == fpn.model.train_cfg.rcnn
    # those of the figures in docs/light-detector.md
    assert light.optim_wrapper.optimizer.lr == 0.003
    assert fpn.optim_wrapper.optimizer.lr == 0.001
