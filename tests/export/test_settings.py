"""What changes a prediction and cannot be exported is refused by name."""
import json

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.export.networks import exportable, labels_of, require_boxes
from shufflenet_det.export.resizing import read_resize
from shufflenet_runtime.resizing import resize_image, resized_size

import numpy as np
import pytest
from mmcv.image import io as mmcv_io
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmengine.config import Config

from ..conftest import COCO_CLASSES, ROOT
from .detectors import detector_config
from .one_stage import build

MASKS = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
QUERIES = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'
SEGMENTS = 'mmdet::solo/solo_r50_fpn_1x_coco.py'
GUIDED = 'mmdet::guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py'


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


@pytest.mark.parametrize(
    ('config', 'named'),
    [
        (MASKS, 'MaskRCNN predicts masks, .* Train the detector without its mask head'),
        (QUERIES, 'DETR is no detector that makes boxes as the export knows it. One-stage'),
        (SEGMENTS, 'SOLO is no detector that makes boxes'),
    ],
)
def test_other_detectors_are_refused_before_they_are_built(config, named):
    with pytest.raises(ConfigError, match=named):
        require_boxes(load_config(config).model)


def test_a_head_that_the_table_lacks_is_refused_by_name():
    cfg = load_config(GUIDED)
    require_boxes(cfg.model)
    cfg.model.backbone.init_cfg = None
    message = refusal(cfg)
    assert 'how GARetinaHead makes boxes is not known' in message and 'YOLOXHead' in message


@pytest.mark.parametrize(
    ('family', 'options', 'named'),
    [
        ('retinanet', dict(bbox_coder=dict(type='LegacyDeltaXYWHBBoxCoder')),
         'bbox_head.bbox_coder: it is LegacyDeltaXYWHBBoxCoder'),
        ('fcos', dict(test_cfg=dict(nms=dict(type='soft_nms', iou_threshold=0.5))),
         "test_cfg.nms: it is type='soft_nms'"),
        ('fcos', dict(test_cfg=dict(nms_pre=-1)), 'test_cfg.nms_pre: it is -1'),
        ('fcos', dict(test_cfg=dict(multi_label=True)), 'does not know test_cfg.multi_label'),
    ],
    ids=lambda value: value if isinstance(value, str) and ' ' not in value else '',
)  # fmt: skip
def test_parts_of_one_stage_detectors_that_the_table_lacks_are_refused(family, options, named):
    with pytest.raises(ConfigError) as error:
        exportable(build(family, **options), None, None)
    assert named in str(error.value)


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
    assert rule == dict(rule='fit', long=500, short=300, interpolation='bilinear_exact')
    assert (resize_image(image, rule) == expected).all()
    factor = min(500 / max(shape), 300 / min(shape))
    assert expected.shape[:2] == tuple(int(side * factor + 0.5) for side in shape)


PADS = [
    dict(size=(320, 352), pad_val=dict(img=(114, 113, 112))),
    # OpenCV takes a single number that is no integer for blue alone
    dict(size_divisor=32, pad_val=dict(img=(114.0))),
    dict(size_divisor=64),
    dict(pad_to_square=True, pad_val=7),
    dict(pad_to_square=True, size_divisor=48),
    # smaller than the image: nothing happens
    dict(size=(64, 64)),
]


@pytest.mark.parametrize('pad', PADS, ids=str)
@pytest.mark.parametrize(
    'resize',
    [
        dict(scale=(320, 200), keep_ratio=True),
        dict(scale=(320, 200), keep_ratio=True, interpolation='bilinear_exact'),
        dict(scale=(300, 260), keep_ratio=False),
        None,
    ],
    ids=str,
)
def test_padded_pixels_are_those_of_the_pipeline(resize, pad):
    cfg = detector_config('light')
    pipeline = cfg.test_dataloader.dataset.pipeline
    index = next(i for i, t in enumerate(pipeline) if t['type'] == 'Resize')
    pipeline[index : index + 1] = [dict(type='Resize', **resize)] if resize else []
    pipeline.insert(index + bool(resize), dict(type='Pad', **pad))
    image = np.random.default_rng(0).integers(0, 256, (150, 230, 3), dtype=np.uint8)
    steps = [t for t in pipeline if t['type'] in ('Resize', 'Pad')]
    done = Compose(steps)(dict(img=image, img_shape=image.shape[:2]))
    rule = json.loads(json.dumps(read_resize(cfg)))
    found = resize_image(image, rule)
    assert found.shape == done['img'].shape and (found == done['img']).all()
    if resize:
        size = resized_size(230, 150, rule)
        assert (size[0] / 230, size[1] / 150) == done['scale_factor']


@pytest.mark.parametrize(
    ('step', 'named'),
    [
        (dict(type='Pad', size_divisor=64, padding_mode='edge'), "padding_mode='edge'"),
        (dict(type='Resize', scale=(100, 100), keep_ratio=True), 'more than once'),
        (
            dict(type='Resize', scale=(100, 100), keep_ratio=True, interpolation='area'),
            "interpolation 'bilinear' or 'bilinear_exact'",
        ),
        (dict(type='LoadImageFromFile', to_float32=True), 'to_float32'),
        (dict(type='Normalize', mean=[0, 0, 0], std=[1, 1, 1]), 'does not know Normalize of the'),
        (dict(type='NoSuchStep'), 'does not know NoSuchStep of the test pipeline'),
        (dict(type='TestTimeAug', transforms=[[]]), 'TestTimeAug .* is test-time augmentation'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_pipelines_that_cannot_be_described_are_refused(step, named):
    cfg = detector_config('light')
    cfg.test_dataloader.dataset.pipeline.append(step)
    with pytest.raises(ConfigError, match=named):
        read_resize(cfg)


def test_padding_before_resizing_is_refused():
    cfg = detector_config('light')
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Pad', size_divisor=64))
    with pytest.raises(ConfigError, match='pads images before it resizes them'):
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
