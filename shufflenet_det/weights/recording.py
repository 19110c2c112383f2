"""Checkpoints of training say what their weights need.

After :func:`install`, whatever Runner of mmengine saves a model with a backbone of this package
adds the record, MMDetection's own ``tools/train.py`` included. Other models are saved as they were.
"""
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from ..compat.checkpoint_saving import before_save
from ..models.shuffle_unit import ShuffleUnit
from ..models.shufflenet_v1 import ShuffleNetV1
from ..models.staged import StagedBackbone
from .preprocessing import preprocessing_of
from .record import RECORD_KEY, WeightsRecord


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
    if _write_record not in before_save:
        before_save.append(_write_record)


def _write_record(model: nn.Module, checkpoint: dict) -> None:
    record = record_of(model)
    if record is not None:
        checkpoint.setdefault('meta', {})[RECORD_KEY] = record.to_json()
