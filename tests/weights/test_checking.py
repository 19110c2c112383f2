"""Weights under another shuffle or preprocessing than theirs are refused before the first image."""
import copy
import logging
from pathlib import Path

import shufflenet_det
from shufflenet_det.common.config import load_config
from shufflenet_det.compat.checkpoint import CheckpointError, read_checkpoint
from shufflenet_det.data import CheckedCocoDataset
from shufflenet_det.engine import ConsistencyHook
from shufflenet_det.engine.setup import add_consistency_check
from shufflenet_det.models import ImageClassifier, ShuffleNetV1
from shufflenet_det.weights import (
    RECORD_KEY,
    Preprocessing,
    WeightsRecord,
    record_of,
)
from shufflenet_det.weights.convert import as_file, convert
from shufflenet_det.weights.preprocessing import IMAGENET, RAW_BGR, preprocessing_of

import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint

from ..conftest import ROOT
from .networks import AuthorsNet

CONFIG = ROOT / 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-0.5x-g3_c4_2x_coco-300.py'
NEEDS_TRANSPOSED = "needs shuffle='transposed' and the model has shuffle='standard'"
NEEDS_BGR = r'(?s)needs pixels as BGR in 0\.\.255, no mean.* gives RGB with mean .*bgr_to_rgb=False'


@pytest.fixture(scope='module')
def authors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' weights, converted as they are."""
    return written(tmp_path_factory.mktemp('weights') / 'authors.safetensors')


@pytest.fixture(scope='module')
def standard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' weights, rearranged for the paper's order."""
    return written(tmp_path_factory.mktemp('weights') / 'standard.pth', shuffle='standard')


def written(path: Path, **options) -> Path:
    converted = convert(AuthorsNet(3, 0.5).state_dict(), 'x', **options)
    path.write_bytes(as_file(converted, path.suffix))
    return path


def config(pretrained: Path | None = None, shuffle: str = 'standard', **preprocessing) -> Config:
    cfg = load_config(str(CONFIG))
    cfg.model.data_preprocessor.update(preprocessing)
    parts = (cfg.model.backbone, cfg.model.roi_head.shared_head)
    for part, prefix in zip(parts, ('backbone.', 'backbone.layers.2.'), strict=True):
        if pretrained is not None:
            part.init_cfg = dict(type='Pretrained', checkpoint=str(pretrained), prefix=prefix)
    for part in (cfg.model.backbone, cfg.model.roi_head.shared_head.backbone):
        part.shuffle = shuffle
    return cfg


def build(cfg: Config) -> BaseModel:
    return MODELS.build(cfg.model)


RAW = RAW_BGR.as_detector_cfg()


def test_pretrained_parts_of_a_detector(authors, standard):
    with pytest.raises(CheckpointError, match=NEEDS_TRANSPOSED):
        build(config(authors)).init_weights()
    with pytest.raises(CheckpointError, match=NEEDS_BGR):
        build(config(authors, 'transposed')).init_weights()
    build(config(authors, 'transposed', **RAW)).init_weights()
    with pytest.raises(CheckpointError, match="shuffle='transposed'"):
        build(config(standard, 'transposed', **RAW)).init_weights()
    build(config(standard, **RAW)).init_weights()
    # only the RoI stage is of another order
    cfg = config(authors, 'transposed', **RAW)
    cfg.model.roi_head.shared_head.backbone.shuffle = 'standard'
    with pytest.raises(CheckpointError, match=NEEDS_TRANSPOSED):
        build(cfg).init_weights()


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a detector of transposed order that was trained on raw BGR."""
    model = build(config(shuffle='transposed', **RAW))
    content = dict(meta={RECORD_KEY: record_of(model).to_json()}, state_dict=model.state_dict())
    torch.save(content, path := tmp_path_factory.mktemp('detector') / 'epoch_1.pth')
    return path


def load_whole(cfg: Config, path: str) -> None:
    load_checkpoint(build(cfg), path)


def make_inferencer(cfg: Config, path: str) -> None:
    DetInferencer(cfg, path, device='cpu')


def make_detector(cfg: Config, path: str) -> None:
    init_detector(cfg, path, device='cpu', palette='coco')


@pytest.mark.parametrize('load', [load_whole, make_inferencer, make_detector])
def test_checkpoint_of_a_detector(load, trained):
    with pytest.raises(CheckpointError, match=NEEDS_TRANSPOSED):
        load(config(**RAW), str(trained))
    with pytest.raises(CheckpointError, match=NEEDS_BGR):
        load(config(shuffle='transposed'), str(trained))
    load(config(shuffle='transposed', **RAW), str(trained))


@pytest.mark.parametrize('what', ['train', 'test', 'fine-tune'])
def test_runners_stop_before_the_first_image(
    what, authors, trained, coco_root, tmp_path, monkeypatch
):
    def read(self, index):
        pytest.fail('an image was read')

    monkeypatch.setattr(CheckedCocoDataset, '__getitem__', read)
    monkeypatch.setenv('COCO_DATA_ROOT', str(coco_root))
    cfg = config(authors if what == 'train' else None, 'transposed')
    cfg.work_dir = str(tmp_path)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
    if what != 'train':
        cfg.load_from = str(trained)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(CheckpointError, match=NEEDS_BGR):
        runner.test() if what == 'test' else runner.train()


def test_a_part_loaded_by_hand_is_caught_by_the_hook(authors):
    cfg = config(shuffle='transposed')
    add_consistency_check(cfg)
    model = build(cfg)
    load_checkpoint(model.backbone, str(authors), revise_keys=[(r'^backbone\.', '')])
    runner = type('R', (), dict(model=model))
    with pytest.raises(CheckpointError, match=NEEDS_BGR):
        ConsistencyHook().before_train(runner)
    # another file takes its place
    plain = authors.with_name('plain.pth')
    torch.save(model.backbone.state_dict(), plain)
    load_checkpoint(model.backbone, str(authors), revise_keys=[(r'^backbone\.', '')])
    load_checkpoint(model.backbone, str(plain))
    shufflenet_det.weights.check_preprocessing(model)


@pytest.mark.parametrize('whole', [False, True])
def test_the_outermost_preprocessor_counts(authors, trained, whole):
    detector = config(authors, 'transposed', **RAW).model
    preprocessor = detector.data_preprocessor
    if whole:
        # as tracking has it: the detector is loaded whole, and has no preprocessor of its own
        detector.init_cfg = dict(type='Pretrained', checkpoint=str(trained))
        del detector.data_preprocessor, detector.backbone.init_cfg
        del detector.roi_head.shared_head.init_cfg
    outer = dict(
        type='SemiBaseDetector',
        detector=detector,
        data_preprocessor=dict(
            type='MultiBranchDataPreprocessor', data_preprocessor=preprocessor
        ),
        semi_train_cfg=dict(freeze_teacher=False),
    )
    MODELS.build(copy.deepcopy(outer)).init_weights()
    outer['data_preprocessor'] = dict(
        type='MultiBranchDataPreprocessor',
        data_preprocessor=dict(type='DetDataPreprocessor', **IMAGENET.as_detector_cfg()),
    )
    with pytest.raises(CheckpointError, match=NEEDS_BGR):
        MODELS.build(outer).init_weights()


def test_what_cannot_be_known_is_said(authors):
    cfg = config(authors, 'transposed')
    cfg.model.data_preprocessor = dict(type='BaseDataPreprocessor', _scope_='mmengine')
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    build(cfg).init_weights()
    logger.removeHandler(handler)
    assert any('what BaseDataPreprocessor does is not known' in message for message in said)


def test_classifier(authors, tmp_path):
    record = WeightsRecord.from_json(read_checkpoint(authors)['meta'][RECORD_KEY])
    backbone = dict(type='ShuffleNetV1', **record.variant, shuffle='transposed', out_indices=(3,))
    head = dict(type='LinearHead', num_classes=7, bias=False)
    with pytest.raises(CheckpointError, match=r'mean=\[0\.0, 0\.0, 0\.0\].*rgb_to_bgr=True'):
        load_checkpoint(ImageClassifier(backbone, head), str(authors))
    settings = record.preprocessing.as_classifier_cfg()
    model = ImageClassifier(backbone, head, dict(type='ClassifierPreprocessor', **settings))
    load_checkpoint(model, str(authors))
    assert record_of(model) == record


@pytest.mark.parametrize(
    'variant', [dict(with_se=True), dict(shallow=True, stage_channels=(120, 240, 480))]
)
@pytest.mark.parametrize('without', [False, True])
def test_tensors_of_another_variant_that_fit_in_part(variant, without, tmp_path):
    saved, built = (variant, {}) if without else ({}, variant)
    (name,) = variant.keys() - {'stage_channels'}
    files = {}
    for options in (saved, built):
        model = build(config_of(options))
        content = dict(meta={RECORD_KEY: record_of(model).to_json()}, state_dict=model.state_dict())
        files[str(options)] = path = str(tmp_path / f'{len(files)}.pth')
        torch.save(content, path)
    needs = f'with {name}={without} and the model has {name}={not without}.*Set {name}={without} of'
    with pytest.raises(CheckpointError, match=needs):
        load_checkpoint(build(config_of(built)), files[str(saved)])
    net = ShuffleNetV1(widen_factor=0.5, out_indices=(2,), **built)
    with pytest.raises(CheckpointError, match=needs):
        load_checkpoint(net, files[str(saved)], revise_keys=[(r'^backbone\.', '')])
    load_checkpoint(build(config_of(built)), files[str(built)])


def config_of(variant: dict) -> Config:
    cfg = config()
    for part in (cfg.model.backbone, cfg.model.roi_head.shared_head.backbone):
        part.update(variant)
    return cfg


def test_a_stage_of_another_variant(tmp_path):
    model = ImageClassifier(
        dict(type='ShuffleNetV1', widen_factor=0.5, with_se=True),
        dict(type='LinearHead', num_classes=2),
    )
    content = dict(meta={RECORD_KEY: record_of(model).to_json()}, state_dict=model.state_dict())
    torch.save(content, path := tmp_path / 'x.pth')
    stage = config().model.roi_head.shared_head
    stage.init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.layers.2.')
    with pytest.raises(CheckpointError, match='with_se=True and the model has with_se=False'):
        MODELS.build(stage).init_weights()


@pytest.mark.parametrize(
    ('cfg', 'expected'),
    [
        (dict(type='BaseDataPreprocessor'), None),
        (dict(type='DetDataPreprocessor'), RAW_BGR),
        (dict(type='mmdet.DetDataPreprocessor', bgr_to_rgb=True),
         Preprocessing(RAW_BGR.mean, RAW_BGR.std, 'rgb')),
        (dict(type='DetDataPreprocessor', mean=[5], std=[2]),
         Preprocessing((5, 5, 5), (2, 2, 2), 'bgr')),
        (dict(type='TrackDataPreprocessor', **IMAGENET.as_detector_cfg()), IMAGENET),
        (dict(type='ReIDDataPreprocessor', mean=IMAGENET.mean, std=IMAGENET.std, to_rgb=True),
         IMAGENET),
        (dict(type='ClassifierPreprocessor'), IMAGENET),
        (dict(type='ClassifierPreprocessor', **RAW_BGR.as_classifier_cfg()), RAW_BGR),
    ],
)  # fmt: skip
def test_preprocessing_of_each_kind(cfg, expected):
    assert preprocessing_of(MODELS.build(cfg)) == expected
    assert preprocessing_of(None) is None


def test_digits_of_mean_and_std_are_no_difference():
    rounded = Preprocessing((123.68, 116.28, 103.53), (58.4, 57.12, 57.38), 'rgb')
    assert IMAGENET.agrees_with(rounded)
    for other in (
        Preprocessing(IMAGENET.mean, (58.395, 57.12, 57.6), 'rgb'),
        Preprocessing((123.675, 116.28, 104.0), IMAGENET.std, 'rgb'),
        Preprocessing(IMAGENET.mean, IMAGENET.std, 'bgr'),
    ):
        assert not IMAGENET.agrees_with(other)
