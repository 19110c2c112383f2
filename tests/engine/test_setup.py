from shufflenet_det.common.errors import ConfigError
from shufflenet_det.engine import setup

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from ..conftest import ROOT

RECIPE = ROOT / 'configs' / 'imagenet' / 'shufflenet-v1-1x-g3_in1k.py'


def learning_rates(cfg: Config, iterations: set[int]) -> dict[int, float]:
    """Learning rate at some iterations, from the scheduler that the config builds."""
    wrapper = OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], **sgd(cfg)))
    scheduler = PARAM_SCHEDULERS.build({**cfg.param_scheduler, 'optimizer': wrapper})
    found = {}
    for i in range(max(iterations) + 1):
        if i in iterations:
            found[i] = wrapper.param_groups[0]['lr']
        scheduler.step()
    return found


def sgd(cfg: Config) -> dict:
    optimizer = cfg.optim_wrapper.optimizer.to_dict()
    assert optimizer.pop('type') == 'SGD'
    return optimizer


def test_learning_rate_is_the_papers():
    cfg = Config.fromfile(RECIPE)
    rates = learning_rates(cfg, {0, 1, 150000, 299999})
    assert rates[0] == 0.5
    for i, rate in rates.items():
        assert rate == pytest.approx(0.5 * (1 - i / 300000), rel=1e-6)
    assert cfg.train_cfg.max_iters == 300000
    assert cfg.auto_scale_lr.base_batch_size == 4 * cfg.train_dataloader.batch_size == 1024


def test_accumulation_keeps_the_schedule_in_optimiser_steps():
    plain, stretched = Config.fromfile(RECIPE), Config.fromfile(RECIPE)
    setup.set_accumulation(stretched, 4)
    assert stretched.optim_wrapper.accumulative_counts == 4
    assert stretched.train_cfg.max_iters == 4 * plain.train_cfg.max_iters
    assert stretched.train_cfg.val_interval == 4 * plain.train_cfg.val_interval
    assert stretched.default_hooks.checkpoint.interval == 4 * 10000
    for cfg in (plain, stretched):
        cfg.param_scheduler.end = (cfg.param_scheduler.end - 1) // 1000 + 1
    before = learning_rates(plain, set(range(0, 300, 50)))
    after = learning_rates(stretched, set(range(0, 1200, 200)))
    for i, rate in before.items():
        assert after[4 * i] == pytest.approx(rate, rel=1e-2)
    with pytest.raises(ConfigError, match='--accumulate 0'):
        setup.set_accumulation(plain, 0)


def test_weight_decay_leaves_out_norms_and_biases():
    cfg = Config.fromfile(RECIPE)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decay = {id(g['params'][0]): g['weight_decay'] for g in wrapper.param_groups}
    for name, parameter in model.named_parameters():
        weight = name in ('0.weight', '2.weight')
        assert decay[id(parameter)] == (4e-5 if weight else 0), name


def test_accumulation_stretches_all_that_is_counted_in_iterations():
    cfg = Config(dict(
        optim_wrapper=dict(),
        train_cfg=dict(max_iters=100, val_interval=10, dynamic_intervals=[(91, 100)]),
        param_scheduler=[
            dict(type='CosineRestartLR', by_epoch=False, periods=[40, 60], end=100),
            dict(type='MultiStepLR', by_epoch=True, milestones=[3]),
        ],
        default_hooks=dict(checkpoint=dict(by_epoch=False, save_begin=20)),
    ))  # fmt: skip
    setup.set_accumulation(cfg, 4)
    assert cfg.train_cfg.dynamic_intervals == [(364, 400)]
    assert cfg.param_scheduler[0].periods == [160, 240] and cfg.param_scheduler[0].end == 400
    assert cfg.param_scheduler[1].milestones == [3]
    assert cfg.default_hooks.checkpoint == dict(by_epoch=False, save_begin=80)
    cfg.default_hooks.checkpoint.interval = -1
    setup.set_accumulation(cfg, 2)
    assert cfg.default_hooks.checkpoint.interval == -1


def test_config_for_testing_only_cannot_be_trained():
    with pytest.raises(ConfigError, match='has no train_cfg'):
        setup.make_resumable(Config(dict(train_cfg=None)))
