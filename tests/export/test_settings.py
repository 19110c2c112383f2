"""What changes a prediction and cannot be exported is refused by name."""
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.export.networks import exportable, labels_of
from shufflenet_det.export.resizing import read_resize
from shufflenet_runtime.resizing import resize_image

import numpy as np
import pytest
from mmcv.image import io as mmcv_io
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmengine.config import Config

from ..conftest import COCO_CLASSES, ROOT
from .detectors import detector_config

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
CASCADE = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'


def refusal(cfg: Config) -> str:
    with pytest.raises(ConfigError) as error:
        exportable(MODELS.build(cfg.model), None, None)
    return str(error.value)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'model.test_cfg.rcnn.nms.type': 'soft_nms'}, 'test_cfg.rcnn.nms'),
        ({'model.test_cfg.rpn.nms.type': 'soft_nms'}, 'test_cfg.rpn.nms'),
        ({'model.test_cfg.rcnn.nms.max_num': 3}, 'test_cfg.rcnn.nms.max_num'),
        ({'model.test_cfg.rcnn.max_per_img': -1}, 'test_cfg.rcnn.max_per_img'),
        ({'model.roi_head.bbox_roi_extractor.roi_layer.pool_mode': 'max'}, 'pool_mode'),
        ({'model.roi_head.bbox_head.bbox_coder.clip_border': False}, 'bbox_coder'),
        ({'model.roi_head.type': 'DoubleHeadRoIHead',
          'model.roi_head.reg_roi_scale_factor': 1.3}, 'DoubleHeadRoIHead'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)  # fmt: skip
def test_settings_that_cannot_be_exported_are_refused(options, named):
    assert named in refusal(detector_config('light', **options))


@pytest.mark.parametrize(('config', 'named'), [(RETINANET, 'RetinaNet'), (CASCADE, 'CascadeRCNN')])
def test_other_detectors_are_refused(config, named):
    assert f'it is {named}' in refusal(load_config(config))


def test_labels_that_do_not_fit_are_refused():
    model = MODELS.build(detector_config('light').model)
    with pytest.raises(ConfigError, match='80 classes and the data set names 2'):
        exportable(model, ['a', 'b'], None)


def test_labels_are_those_of_the_checkpoint_before_those_of_the_config():
    cfg = detector_config('light')
    assert labels_of(cfg, {}) == list(COCO_CLASSES)
    assert labels_of(cfg, dict(meta=dict(dataset_meta=dict(classes=('a', 'b'))))) == ['a', 'b']
    cfg.test_dataloader.dataset.metainfo = dict(classes=('c',))
    assert labels_of(cfg, {}) == ['c']
    assert labels_of(load_config(str(ROOT / 'configs/imagenet/alexnet_in1k.py')), {}) is None


@pytest.mark.parametrize('shape', [(480, 640), (333, 500), (640, 427), (100, 100), (37, 900)])
def test_resize_rule_is_what_the_pipeline_does(shape):
    cfg = detector_config('light')
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    (resize,) = [t for t in cfg.test_dataloader.dataset.pipeline if t['type'] == 'Resize']
    expected = Compose([resize])(dict(img=image, img_shape=shape))['img']
    rule = read_resize(cfg)
    assert rule == dict(rule='fit', long=500, short=300)
    assert (resize_image(image, rule) == expected).all()
    factor = min(500 / max(shape), 300 / min(shape))
    assert expected.shape[:2] == tuple(int(side * factor + 0.5) for side in shape)


@pytest.mark.parametrize(
    ('step', 'named'),
    [
        (dict(type='Pad', size_divisor=64), 'Pad'),
        (dict(type='Resize', scale=(100, 100), keep_ratio=True), 'more than once'),
        (dict(type='LoadImageFromFile', to_float32=True), 'to_float32'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_pipelines_that_cannot_be_described_are_refused(step, named):
    cfg = detector_config('light')
    cfg.test_dataloader.dataset.pipeline.append(step)
    with pytest.raises(ConfigError, match=named):
        read_resize(cfg)


@pytest.mark.parametrize('backend', ['pillow', 'tifffile', 'turbojpeg', 'global'])
def test_other_decoders_than_that_of_the_runtime_are_refused(monkeypatch, backend):
    cfg = detector_config('light')
    load = cfg.test_dataloader.dataset.pipeline[0]
    assert load.type == 'LoadImageFromFile'
    if backend == 'global':
        load.imdecode_backend, backend = None, 'pillow'
        monkeypatch.setattr(mmcv_io, 'imread_backend', 'pillow')
    else:
        load.imdecode_backend = backend
    with pytest.raises(ConfigError, match=f"decodes images by {backend}.*imdecode_backend='cv2'"):
        read_resize(cfg)
