"""Testing in the deploy form."""
from types import SimpleNamespace

from shufflenet_det.engine import DeployHook
from shufflenet_det.models import DeployConv2d, ShuffleNetV1

import pytest
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS
from torch import nn


@pytest.mark.parametrize('wrap', [lambda model: model, nn.DataParallel])
def test_a_copy_is_tested_and_the_model_comes_back(wrap):
    model = wrap(ShuffleNetV1(widen_factor=0.25))
    runner, hook = SimpleNamespace(model=model), HOOKS.build(dict(type='DeployHook'))
    assert isinstance(hook, DeployHook)
    hook.before_test_epoch(runner)
    assert any(isinstance(module, DeployConv2d) for module in runner.model.modules())
    assert not any(isinstance(module, DeployConv2d) for module in model.modules())
    hook.after_test_epoch(runner)
    assert runner.model is model


def test_averaged_weights_are_taken_first():
    order = ['HIGHEST', 'VERY_HIGH', 'HIGH', 'ABOVE_NORMAL', 'NORMAL', 'LOW', 'VERY_LOW', 'LOWEST']
    assert order.index(EMAHook.priority) < order.index(DeployHook.priority)
