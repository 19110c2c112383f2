"""Configs of any detector of MMDetection as one's base, whatever stands around their data."""
import subprocess
import sys
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.own_data import prepare
from shufflenet_det.own_data.bases import adapted, load_base
from shufflenet_det.own_data.config import DEFAULT_BASE

import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config

from ..conftest import ROOT
from .files import BOXES, labels, write_images

YOLOX = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    # the last has no object
    return write_images(tmp_path / 'photos', *BOXES, 'empty.jpg')


def prepared(photos: Path, out: Path, base: str, **options) -> Config:
    boxes = {**BOXES, 'empty.jpg': []}
    return prepare(photos, labels(photos, boxes), out, base=base, **options).config


@pytest.mark.parametrize(
    ('base', 'size'),
    [
        (YOLOX, 64),
        ('mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py', None),
        ('mmdet::atss/atss_r50_fpn_8xb8-amp-lsj-200e_coco.py', 64),
        # several data sets of another layout, repeated
        ('mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py', 60),
        # trains by iterations, on a data set that repeats what is rare
        ('mmdet::v3det/fcos_r50_fpn_8x4_sample1e-3_mstrain_v3det_2x.py', 60),
    ],
    ids=['yolox', 'ssdlite', 'lsj', 'voc', 'v3det'],
)
def test_training_reads_every_image_of_the_prepared_data(base, size, photos, tmp_path):
    cfg = prepared(photos, tmp_path / 'own', base, size=size, steps=8)
    assert cfg.train_cfg.max_epochs == 4
    assert cfg.train_dataloader.sampler.type == 'DefaultSampler'
    assert cfg.default_hooks.checkpoint.get('by_epoch', True)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    val = DATASETS.build(cfg.val_dataloader.dataset)
    assert train.metainfo['classes'] == val.metainfo['classes'] == ('mug', 'tea pot')
    # as often as it is there, whatever the base repeats
    assert len(train) == 9 and len(val) == 2
    for index in range(len(train)):
        assert train[index]['inputs'].shape[0] == 3
    shapes = {tuple(val[index]['inputs'].shape[1:]) for index in range(len(val))}
    assert all(min(shape) == (size or 320) for shape in shapes)
    assert (tmp_path / 'own' / 'base.py').exists()


def test_images_without_objects_survive_the_end_of_the_mosaic(photos, tmp_path):
    cfg = prepared(photos, tmp_path / 'own', YOLOX, size=64, steps=8)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    (hook,) = (h for h in cfg.custom_hooks if h.type == 'YOLOXModeSwitchHook')
    assert hook.num_last_epochs == 1
    train.update_skip_type_keys(('Mosaic', 'RandomAffine', 'MixUp'))
    boxes = [len(train[index]['data_samples'].gt_instances) for index in range(len(train))]
    # fails in MMDetection's own pipeline, which drops what has no box and finds nothing else
    assert sorted(boxes) == [0] + [1] * 8 or sorted(boxes) == [1] * 9


@pytest.mark.slow
def test_yolox_trains_with_its_hooks_and_is_tested(photos, tmp_path):
    prepared(photos, tmp_path / 'own', YOLOX, size=64, steps=4)
    work = tmp_path / 'work'
    ended = subprocess.run(
        [sys.executable, 'tools/train.py', str(tmp_path / 'own' / 'config.py'), '--work-dir',
         str(work), '--cfg-options', 'train_dataloader.num_workers=0',
         'val_dataloader.num_workers=0'],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout + ended.stderr
    # the mosaic ends one epoch before the last
    assert 'No mosaic and mixup aug now!' in said and 'coco/bbox_mAP' in said
    assert (work / 'epoch_2.pth').exists()


def test_a_base_that_needs_nothing_is_inherited_as_it_is(photos, tmp_path):
    prepared(photos, tmp_path / 'own', str(DEFAULT_BASE))
    assert not (tmp_path / 'own' / 'base.py').exists()
    assert DEFAULT_BASE.name in (tmp_path / 'own' / 'config.py').read_text()
    base = load_config(str(DEFAULT_BASE))
    before = base.to_dict()
    adapted(base, 'base.py', size=640)
    assert base.to_dict() == before


def test_base_py_is_of_the_config_beside_it(photos, tmp_path):
    out = tmp_path / 'own'
    prepared(photos, out, YOLOX, size=64)
    assert "'base.py'" in (out / 'config.py').read_text()
    with pytest.raises(ConfigError, match=r'base.py, .*config.py exist already'):
        prepared(photos, out, YOLOX)
    before = (out / 'base.py').read_bytes()
    with pytest.raises(ConfigError, match='is, or inherits'):
        prepared(photos, out, str(out / 'base.py'), size=96, force=True)
    assert (out / 'base.py').read_bytes() == before
    # what is no longer inherited does not stay behind
    prepared(photos, out, str(DEFAULT_BASE), force=True)
    assert not (out / 'base.py').exists()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', 'trains masks'),
        ('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py', 'trains with segmentation'),
        ('mmdet::fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', 'trains with the proposals of another'),
        ('mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py',
         'several data sets, each with a pipeline of its own'),
        ('mmdet::reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20.py',
         'ReIDDataset, which has no boxes'),
        ('configs/imagenet/shufflenet-v1-1x-g3_in1k.py', 'ImageNetDataset, which has no boxes'),
        ('configs/nothing.py', 'config file not found'),
    ],
)  # fmt: skip
def test_bases_that_cannot_be(name, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=message):
        load_base(name)


def test_base_without_a_test(tmp_path):
    base = tmp_path / 'base.py'
    base.write_text(f'_base_ = {str(DEFAULT_BASE)!r}\ntest_evaluator = None\n')
    with pytest.raises(ConfigError, match='base.py sets no test_evaluator: name a config that'):
        load_base(str(base))
