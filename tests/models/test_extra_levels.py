"""Levels behind those of a backbone."""
from shufflenet_det.models import ExtraLevels

import torch
from mmdet.registry import MODELS


def test_each_level_halves_the_one_before_and_learns():
    neck = MODELS.build(dict(type='ExtraLevels', in_channels=6, num_levels=2))
    assert isinstance(neck, ExtraLevels)
    neck.init_weights()
    maps = torch.randn(2, 4, 10, 14), torch.randn(2, 6, 5, 7)
    levels = neck(maps)
    assert levels[0] is maps[0] and levels[1] is maps[1]
    assert [tuple(level.shape) for level in levels[2:]] == [(2, 6, 3, 4), (2, 6, 2, 2)]
    levels[-1].sum().backward()
    assert all(parameter.grad is not None for parameter in neck.parameters())


def test_layers_can_be_chosen():
    neck = ExtraLevels(4, norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='SiLU'))
    kinds = {type(module) for module in neck.modules()}
    assert torch.nn.GroupNorm in kinds and torch.nn.SiLU in kinds
    assert torch.nn.BatchNorm2d not in kinds
