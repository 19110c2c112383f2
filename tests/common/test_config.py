from pathlib import Path

from shufflenet_det.common.config import load_config, pretrained_of
from shufflenet_det.common.errors import ConfigError

import pytest
from mmengine.config import ConfigDict

from ..conftest import ROOT

CONFIG = str(ROOT / 'configs' / 'faster_rcnn_shufflenet.py')


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.backbone.with_cp', True),
        ('model.backbone.widen_factor', 0.5),
        ('train_dataloader.batch_size', 1),
        ('train_dataloader.dataset.indices', 10),
        ('train_dataloader.dataset.pipeline.2.scale', (500, 300)),
        ('train_cfg.max_epochs', 1),
        ('randomness.seed', 3),
        ('load_from', 'x.pth'),
        ('find_unused_parameters', True),
        ('optim_wrapper.accumulative_counts', 4),
        ('optim_wrapper.optimizer.nesterov', True),
        ('default_hooks.checkpoint.max_keep_ckpts', 1),
        ('auto_scale_lr.enable', True),
        ('model.test_cfg.rcnn.score_thr', 0.1),
        ('optim_wrapper.paramwise_cfg.norm_decay_mult', 0.0),
        ('param_scheduler.1.convert_to_iter_based', True),
        ('default_hooks.logger.priority', 'LOW'),
        ('train_dataloader.prefetch_factor', 4),
    ],
)
def test_options_that_something_reads_are_taken(key, value):
    cfg = load_config(CONFIG, {key: value})
    node = cfg
    for part in key.split('.'):
        node = node[int(part) if part.isdigit() else part]
    assert node == value


@pytest.mark.parametrize(
    ('key', 'hint'),
    [
        ('modle.backbone.groups', 'model'),
        ('workdir', 'work_dir'),
        ('model.backbone.widen_facter', 'widen_factor'),
        ('model.bakbone.groups', 'backbone'),
        ('model.roi_head.bbox_head.num_class', 'num_classes'),
        ('train_dataloader.batchsize', 'batch_size'),
        ('train_cfg.max_epoch', 'max_epochs'),
        ('optim_wrapper.optimizer.learning_rate', ''),
        ('model.test_cfg.rcnn.score_th', 'score_thr'),
        ('auto_scale_lr.base_bs', 'base_batch_size'),
        ('scale', ''),
    ],
)
def test_unknown_options_are_refused_with_the_nearest(key, hint):
    with pytest.raises(ConfigError, match=f'unknown config option {key}.*{hint}'):
        load_config(CONFIG, {key: 1})


def test_missing_config_suggests_a_near_name():
    with pytest.raises(ConfigError, match=r'not found: .*Did you mean faster_rcnn_shufflenet.py'):
        load_config(CONFIG.replace('shufflenet', 'shuflenet'))


@pytest.mark.parametrize(
    'text', ['this is no Python', '_base_ = "gone.py"', 'x = 1', 'import nothing_like_it', '1 / 0']
)
def test_files_that_are_no_config_are_named(tmp_path: Path, text: str):
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(ConfigError, match='broken.py'):
        load_config(str(path))


def test_an_empty_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', '')
    with pytest.raises(ConfigError, match='is set, but empty. Unset it: unset SHUFFLENET_PRETR'):
        load_config(CONFIG)


def test_configs_of_mmdetection_are_found_by_name():
    cfg = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    assert cfg.model.type == 'RetinaNet'


@pytest.mark.parametrize('name', ['data_root', 'pretrained', 'sample_root'])
def test_variables_of_the_config_files_are_not_options(name):
    message = f'{name} is a variable .* environment variable .* such as train_dataloader'
    with pytest.raises(ConfigError, match=message):
        load_config(CONFIG, {name: 'x'})


def test_weights_are_those_that_the_model_starts_from_and_not_its_teacher():
    stage = dict(type='Pretrained', checkpoint='a.pth', prefix='layers.2.')
    model = ConfigDict(
        backbone=dict(type='ShuffleNetV1', init_cfg=dict(type='Pretrained', checkpoint='a.pth')),
        neck=[dict(type='FPN', init_cfg=dict(type='Normal', layer='Conv2d'))],
        roi_head=dict(shared_head=dict(init_cfg=[stage, dict(type='Pretrained', checkpoint='b')])),
        teacher_config=dict(init_cfg=dict(type='Pretrained', checkpoint='c')),
    )
    assert pretrained_of(model) == ['a.pth', 'b']
    assert pretrained_of(dict(backbone=dict(init_cfg=None))) == []


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'train_dataloader': 'abc'}, "train_dataloader is 'abc': give a dict"),
        ({'train_dataloader.dataset.metainfo': 5}, 'metainfo is 5: give a dict'),
        ({'train_dataloader.dataset.metainfo.classes': 5}, 'classes = 5: give names'),
    ],
)
def test_values_of_another_type_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        load_config(CONFIG, options)
