"""Checkpoints of training say what their weights need.

After :func:`install`, whatever Runner of mmengine saves a model with a backbone of this package
adds the record, MMDetection's own ``tools/train.py`` included. Other models are saved as they were.
"""
import functools
from collections.abc import Callable
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import FlexibleRunner, Runner
from torch import nn

from ..models.shuffle_unit import ShuffleUnit
from ..models.shufflenet_v1 import ShuffleNetV1
from ..models.staged import StagedBackbone
from .preprocessing import preprocessing_of
from .record import RECORD_KEY, WeightsRecord

_installed = False


def record_of(model: nn.Module) -> WeightsRecord | None:
    """What the weights of a model need: the model as it is. None without a backbone of ours."""
    model = unwrapped(model)
    backbones = [module for module in model.modules() if isinstance(module, StagedBackbone)]
    if not backbones:
        return None
    nets = [module for module in backbones if isinstance(module, ShuffleNetV1)]
    orders = {module.shuffle for module in model.modules() if isinstance(module, ShuffleUnit)}
    alike = bool(nets) and all(net.variant == nets[0].variant for net in nets)
    return WeightsRecord(
        backbone=type((nets or backbones)[0]).__name__,
        variant=nets[0].variant if alike else {},
        shuffle=orders.pop() if len(orders) == 1 else None,
        preprocessing=preprocessing_of(getattr(model, 'data_preprocessor', None)),
    )


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside of what wraps it for several devices or for test-time augmentation."""
    return model.module if is_model_wrapper(model) or isinstance(model, BaseTTAModel) else model


def install() -> None:
    """Have every Runner write the record. Calling it again changes nothing."""
    global _installed
    if not _installed:
        for runner in (Runner, FlexibleRunner):
            runner.call_hook = _recording(runner.call_hook)
    _installed = True


def _recording(call_hook: Callable) -> Callable:
    # here and not in a hook: what a config lists as hooks, and in which order, is the user's
    @functools.wraps(call_hook)
    def call_and_record(self: Any, fn_name: str, **kwargs: Any) -> None:
        if fn_name == 'before_save_checkpoint':
            record = record_of(self.model)
            if record is not None:
                kwargs['checkpoint'].setdefault('meta', {})[RECORD_KEY] = record.to_json()
        call_hook(self, fn_name, **kwargs)

    return call_and_record
