"""The config for one's own data: what it inherits, where it may be and how long it trains."""
import itertools
import re
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.evaluation.coco_metric import CheckedCocoMetric
from shufflenet_det.own_data import prepare
from shufflenet_det.own_data.config import DEFAULT_BASE, path_from, schedule_for
from shufflenet_det.own_data.report import summary

import pytest
import torch
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from ..conftest import ROOT
from .files import BOXES, C4, labels, write_images

FPN = 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_fpn_2x_coco-600.py'

LIGHT = FPN.replace('fpn', 'light').replace('600', '300')


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'photos', *BOXES)


@pytest.mark.parametrize(
    ('images', 'steps', 'expected'),
    [
        (48, None, (8, 6, 333)),
        (48, 150, (8, 6, 25)),
        (3, 10, (3, 1, 10)),
        (8000, None, (8, 1000, 24)),
        (8000, 10, (8, 1000, 1)),
    ],
)
def test_schedule_is_sized_to_the_images(images, steps, expected):
    schedule = schedule_for(images, steps)
    assert (schedule.batch, schedule.steps, schedule.epochs) == expected
    assert schedule.interval * 5 >= schedule.epochs


def test_config_trains_on_the_data_wherever_both_are_moved(photos, tmp_path):
    prepare(photos, labels(photos), tmp_path / 'own', steps=30)
    cfg = Config.fromfile(tmp_path / 'own' / 'config.py')
    assert cfg.model.bbox_head.num_classes == 2
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.train_cfg.max_epochs == 30
    assert len((tmp_path / 'own' / 'config.py').read_text().splitlines()) <= 53
    tmp_path = tmp_path.rename(tmp_path.with_name(f'{tmp_path.name}_moved'))
    cfg = Config.fromfile(tmp_path / 'own' / 'config.py')
    data = cfg.train_dataloader.dataset
    images = Path(data.data_root, data.data_prefix.img)
    assert images.resolve() == (tmp_path / 'photos').resolve()
    assert Path(data.data_root, data.ann_file).is_file()
    assert Path(cfg.val_evaluator.ann_file).is_file()


def test_config_that_cannot_be_inherited_leaves_nothing(photos, tmp_path):
    # MMEngine mixes no config that imports classes with one that has `_base_`
    base = tmp_path / 'base.py'
    text = Config.fromfile(DEFAULT_BASE).pretty_text
    base.write_text(f'from mmdet.datasets import CocoDataset\n{text}')
    with pytest.raises(ConfigError, match='base.py cannot be inherited, name another --base'):
        prepare(photos, labels(photos), tmp_path / 'own', base=str(base))
    assert not list((tmp_path / 'own').iterdir())


def test_paths_are_relative_where_both_ends_move_together(tmp_path):
    (tmp_path / 'a').mkdir()
    assert path_from(tmp_path / 'a', tmp_path / 'b', tmp_path) == '../b'
    assert path_from(tmp_path / 'a', Path('/b'), tmp_path) == '/b'


def test_apostrophe_in_the_path_of_the_results(photos, tmp_path):
    out = tmp_path / "Bob's data" / 'own'
    prepare(photos, labels(photos), out)
    # what a run keeps in its work folder
    cfg = Config.fromstring(Config.fromfile(out / 'config.py').pretty_text, '.py')
    data = cfg.train_dataloader.dataset
    assert Path(data.data_root) == out and Path(cfg.val_evaluator.ann_file).is_file()


@pytest.mark.parametrize('name', ['a "b"', 'a\\b'])
def test_paths_that_a_config_cannot_hold(photos, tmp_path, monkeypatch, name):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=re.escape(f'--out {folder}/own: a config cannot be')):
        prepare(photos, labels(photos), Path('own'))
    assert not list(folder.iterdir())


def test_other_bases(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    prepare(photos, labels(photos), tmp_path / 'fpn', base=FPN)
    cfg = Config.fromfile(tmp_path / 'fpn' / 'config.py')
    assert cfg.model.roi_head.bbox_head.num_classes == 2
    assert cfg.model.train_cfg.rcnn.sampler.num == 32
    assert cfg.model.neck.type == 'FPN'
    name = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'
    prepare(photos, labels(photos), tmp_path / 'cascade', base=name)
    cfg = Config.fromfile(tmp_path / 'cascade' / 'config.py')
    assert [head.num_classes for head in cfg.model.roi_head.bbox_head] == [2, 2, 2]
    assert cfg.model.roi_head.bbox_head[0].type == 'Shared2FCBBoxHead'
    # the optimiser for another network stays that of its config, its rate follows the batch
    assert cfg.optim_wrapper.optimizer.type == 'SGD'
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.02 * 8 / 16)
    assert cfg.auto_scale_lr.base_batch_size == 8
    assert cfg.train_dataloader.dataset.type == 'CheckedCocoDataset'


@pytest.mark.parametrize(
    ('base', 'said'),
    [
        # of 48x40 pixels: 12 are 90 where 40 become 300, and 88 in a square of 320
        (C4, '12 pixels a side, 90 after the config has resized the images to 300 (long side'),
        (None, '12 pixels a side, 88 after the config has resized the images to 320x320, whatever'),
    ],
)
def test_sizes_of_boxes_after_resizing_are_told(base, said, photos, tmp_path):
    source = labels(photos, {name: [('mug', [2, 3, 12, 12])] for name in BOXES})
    assert said in summary(prepare(photos, source, tmp_path / 'own', base=base))


def inheriting(base: Path, images: Path, steps: int) -> Config:
    """A config on ten images, of which eight are for training: a step is an epoch."""
    out = base.with_suffix('')
    return prepare(images, labels(images), out, base=str(base), steps=steps).config


def test_evaluation_is_not_that_of_the_base(photos, tmp_path):
    base = tmp_path / 'server.py'
    base.write_text(
        f"_base_ = {str(DEFAULT_BASE)!r}\n"
        'val_evaluator = dict(proposal_nums=(100, 1, 10))\n'
        "test_evaluator = dict(format_only=True, outfile_prefix='submission')\n"
    )
    cfg = inheriting(base, photos, steps=5)
    assert cfg.val_evaluator == cfg.test_evaluator
    assert set(cfg.test_evaluator) == {'type', 'ann_file'}
    assert isinstance(METRICS.build(cfg.test_evaluator), CheckedCocoMetric)


# the base has 300 epochs, of which the last 20 and 15 are others; each phase keeps one at least
@pytest.mark.parametrize(('epochs', 'switch', 'last'), [(30, 28, 2), (5, 4, 1), (2, 1, 1)])
def test_epochs_that_a_base_names_move_with_the_schedule(photos, tmp_path, epochs, switch, last):
    base = tmp_path / 'phases.py'
    base.write_text(
        "_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n"
        'train_cfg = dict(val_begin=200)\n'
        'custom_hooks = [*_base_.custom_hooks,\n'
        "    dict(type='YOLOXModeSwitchHook', num_last_epochs=15),\n"
        "    dict(type='EmptyCacheHook')]\n"
    )
    cfg = inheriting(base, photos, steps=epochs)
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_cfg.val_begin == 1 and cfg.train_cfg.dynamic_intervals is None
    ema, pipeline, yolox, cache = cfg.custom_hooks
    assert pipeline.switch_epoch == switch and pipeline.switch_pipeline
    assert yolox == dict(type='YOLOXModeSwitchHook', num_last_epochs=last)
    assert ema.type == 'EMAHook' and cache == dict(type='EmptyCacheHook')


# the last 12 epochs have plain images, but none where images are fewer than `few`
@pytest.mark.parametrize(
    ('epochs', 'few', 'switch'), [(30, 1, 18), (12, 1, 0), (2, 1, 0), (30, 1000, 30)]
)
def test_the_default_ends_with_plain_images_unless_images_are_few(
    photos, tmp_path, monkeypatch, epochs, few, switch
):
    monkeypatch.setattr('shufflenet_det.own_data.config.FEW_IMAGES', few)
    cfg = prepare(photos, labels(photos), tmp_path / 'own', steps=epochs).config
    assert cfg.train_cfg.max_epochs == epochs
    *guards, hook = cfg.custom_hooks
    assert hook.type == 'PipelineSwitchHook' and hook.switch_epoch == switch
    steps = [step.type for step in hook.switch_pipeline]
    assert 'Expand' not in steps and 'MinIoURandomCrop' not in steps
    resizes = [
        next(step for step in pipeline if step.type == 'Resize')
        for pipeline in (hook.switch_pipeline, cfg.train_dataloader.dataset.pipeline)
    ]
    assert resizes[0] == resizes[1]
    assert guards == load_config(str(DEFAULT_BASE)).custom_hooks[:-1]


# heads without batch norm diverge at the rate of the others
@pytest.mark.parametrize(('base', 'rate'), [(None, 0.003), (LIGHT, 0.005), (FPN, 0.001)])
def test_rate_of_our_detectors(base, rate, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    cfg = prepare(photos, labels(photos), tmp_path / 'own', base=base).config
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=rate, weight_decay=1e-4)
    assert 'clip_grad' in cfg.optim_wrapper


def test_rate_of_adam_follows_the_root_of_the_batch(photos, tmp_path):
    base = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
    cfg = prepare(photos, labels(photos), tmp_path / 'own', base=base).config
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.004 * (8 / 16) ** 0.5, rel=1e-2)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.05


def rates(config: Path, options: dict | None = None) -> list[float]:
    """The learning rate at each step of a run of one image a step."""
    cfg = load_config(str(config), options)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = cfg.train_cfg.max_epochs * 8 // cfg.train_dataloader.batch_size
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler), default_args=dict(optimizer=optimizer, end=steps))
        for scheduler in cfg.param_scheduler
    ]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


@pytest.mark.parametrize(
    ('before', 'after', 'options'),
    [
        ('epochs = 30', 'epochs = 30', None),
        ('epochs = 30', 'epochs = 60', None),
        ('epochs = 30', 'epochs = 4', None),
        ('batch_size=8', 'batch_size=4', None),
        ('epochs = 30', 'epochs = 30', {'train_cfg.max_epochs': 60}),
        ('epochs = 30', 'epochs = 30', {'train_dataloader.batch_size': 2}),
    ],
)
def test_schedule_follows_what_is_edited(photos, tmp_path, before, after, options):
    prepare(photos, labels(photos), tmp_path / 'own', steps=30)
    config = tmp_path / 'own' / 'config.py'
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    found = rates(config, options)
    top = found.index(max(found))
    assert max(found) > 0.8 and top <= len(found) / 2
    # it falls to the end, and never rises again
    assert all(a > b for a, b in itertools.pairwise(found[top:]))
    assert found[-1] < 0.2 * max(found) or len(found) < 8
    epochs = load_config(str(config)).train_cfg.max_epochs
    cfg = load_config(str(config))
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == -(-epochs // 5)


def test_what_hooks_do_at_an_epoch_follows(photos, tmp_path):
    base = tmp_path / 'phases.py'
    base.write_text("_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n")
    inheriting(base, photos, steps=30)
    config = tmp_path / 'phases' / 'config.py'
    config.write_text(config.read_text().replace('epochs = 30', 'epochs = 300'))
    assert load_config(str(config)).custom_hooks[1].switch_epoch == 280
