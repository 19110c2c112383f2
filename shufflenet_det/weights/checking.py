"""Weights that say what they need are refused by a model that is or gets something else.

After :func:`install`, everything of mmengine that loads a checkpoint compares the file's record
with the model, before the first image. A part of a model, such as a backbone with
``init_cfg=dict(type='Pretrained')``, does not know its preprocessor: its record waits for the end
of the ``init_weights`` of the whole. A stage 4 in the RoI head of a C4 detector starts from the
file of its backbone, if no other is named for it.
"""
import logging
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from mmengine.logging import print_log
from torch import nn

from ..common.errors import ConfigError
from ..compat.checkpoint import CheckpointError, after_load
from ..compat.checkpoint_reading import Origin
from ..compat.initialisation import after_init, before_init
from ..models.classifier import ClassifierPreprocessor
from ..models.shared_stage import SharedRoIStage
from ..models.shuffle_unit import ShuffleUnit
from ..models.shufflenet_v1 import ShuffleNetV1
from ..models.staged import StagedBackbone
from .preprocessing import Preprocessing, preprocessing_of
from .record import read_record
from .recording import unwrapped

# parts of models with preprocessing that nothing has been compared with yet, and the file's name
_waiting: WeakKeyDictionary[nn.Module, tuple[Preprocessing, str]] = WeakKeyDictionary()


def check_preprocessing(model: nn.Module) -> None:
    """Compare a whole model's preprocessor with what the weights of its parts need.

    Raises:
        CheckpointError: a part was loaded from a file that needs another preprocessing.
    """
    model = unwrapped(model)
    waiting = [_waiting.pop(part) for part in model.modules() if part in _waiting]
    preprocessor = getattr(model, 'data_preprocessor', None)
    in_effect = preprocessing_of(preprocessor)
    for needed, name in waiting:
        if in_effect is None:
            print_log(
                f'checkpoint {name} needs pixels as {needed}; what {type(preprocessor).__name__} '
                f'does is not known, so this could not be checked.',
                logger='current',
                level=logging.WARNING,
            )
        elif not needed.agrees_with(in_effect):
            raise CheckpointError(_other_preprocessing(needed, in_effect, preprocessor, name))


def _check_loaded(module: nn.Module, origin: Origin) -> None:
    record = read_record(origin.meta, origin.name)
    # what an earlier file needed is overwritten with its tensors
    _waiting.pop(module, None)
    if record is None:
        return
    if record.variant:
        _check_variant(module, record.variant, origin.name)
    if record.shuffle is not None:
        _check_shuffle(module, record.shuffle, origin.name)
    if record.preprocessing is not None:
        _waiting[module] = record.preprocessing, origin.name
        if preprocessing_of(getattr(module, 'data_preprocessor', None)) is not None:
            check_preprocessing(module)


def _switches(module: nn.Module) -> Iterator[tuple[str, bool]]:
    """The arguments of each ShuffleNet v1 that tensors of the same names and shapes may hide."""
    for part in module.modules():
        # units, not networks: a stage in an RoI head is one without its network
        if isinstance(part, ShuffleUnit):
            yield 'with_se', not isinstance(part.se, nn.Identity)
        elif isinstance(part, ShuffleNetV1):
            yield 'shallow', part.variant.get('shallow', False)


def _check_variant(module: nn.Module, variant: Mapping[str, Any], name: str) -> None:
    for argument, value in _switches(module):
        needed = variant.get(argument, False)
        if value != needed:
            raise CheckpointError(
                f'checkpoint {name} is of a ShuffleNetV1 with {argument}={needed} and the model '
                f'has {argument}={value}: the tensors fit only in part. Set '
                f'{argument}={needed} of each ShuffleNetV1 in the config, or give weights that '
                f'were trained with {argument}={value}.'
            )


def _check_shuffle(module: nn.Module, needed: str, name: str) -> None:
    for unit in module.modules():
        if isinstance(unit, ShuffleUnit) and unit.shuffle != needed:
            raise CheckpointError(
                f'checkpoint {name} needs shuffle={needed!r} and the model has '
                f'shuffle={unit.shuffle!r}: the tensors fit, the features would be useless. Set '
                f'shuffle={needed!r} of each ShuffleNetV1 in the config, or try `python '
                f'tools/convert_weights.py {shlex.quote(name)} OUT --shuffle {unit.shuffle}`.'
            )


def _other_preprocessing(
    needed: Preprocessing, in_effect: Preprocessing, preprocessor: nn.Module, name: str
) -> str:
    for_classifier = isinstance(preprocessor, ClassifierPreprocessor)
    remedy = needed.as_classifier_cfg() if for_classifier else needed.as_detector_cfg()
    settings = ', '.join(f'{key}={value!r}' for key, value in remedy.items())
    return (
        f'checkpoint {name} needs pixels as {needed}; data_preprocessor of the model gives '
        f'{in_effect}. Set in data_preprocessor: {settings}.'
    )


def _share_weights(model: nn.Module) -> None:
    """Let the last stage in a RoI head start from the file from which its backbone starts."""
    for backbone, part in _backbones(model):
        stage = getattr(getattr(part, 'roi_head', None), 'shared_head', None)
        source = backbone.init_cfg
        # of the networks whose names do not tell their stages, the part is not known
        named = any(name.startswith('layers.') for name in backbone.state_dict())
        if not isinstance(stage, SharedRoIStage) or not named or not _is_pretrained(source):
            continue
        if not _is_pretrained(stage.init_cfg):
            prefix = source.get('prefix') or ''
            whole = f'{prefix.rstrip(".")}.' if prefix else ''
            stage.init_cfg = {**source, 'prefix': f'{whole}layers.{stage.stage - 1}.'}
            stage.norm_eval = backbone.norm_eval
            print_log(
                f'The shared stage of the RoI head starts from {source["checkpoint"]}, as the '
                f'backbone does.',
                logger='current',
            )


def _check_channels(model: nn.Module) -> None:
    """Refuse a neck or an RPN for another width of the backbone before it meets an image."""
    for backbone, part in _backbones(model):
        neck, rpn = getattr(part, 'neck', None), getattr(part, 'rpn_head', None)
        if neck is not None:
            name, taken = 'neck', getattr(neck, 'in_channels', None)
        else:
            name, taken = 'rpn_head', getattr(rpn, 'in_channels', None)
        taken = [taken] if isinstance(taken, int) else taken
        given = list(backbone.out_channels)
        # other numbers of levels have a meaning for some necks, and YOLOv3's takes the last first
        of_levels = isinstance(taken, (list, tuple)) and len(taken) == len(given)
        if of_levels and sorted(taken) != sorted(given):
            raise ConfigError(
                f'the backbone gives {given} channels and in_channels of {name} is {list(taken)}. '
                f'If weights have set the width (SHUFFLENET_PRETRAINED), take the config of that '
                f'width, or let tools/swap_backbone.py write one: --checkpoint names the weights.'
            )


def _backbones(model: nn.Module) -> Iterator[tuple[StagedBackbone, nn.Module]]:
    for part in model.modules():
        backbone = getattr(part, 'backbone', None)
        if isinstance(backbone, StagedBackbone):
            yield backbone, part


def _is_pretrained(init_cfg: Mapping | list | None) -> bool:
    return isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained'


def install() -> None:
    """Have every load of mmengine compared. Calling it again changes nothing."""
    for callbacks, ours in (
        (after_load, (_check_loaded,)),
        (before_init, (_share_weights, _check_channels)),
        (after_init, (check_preprocessing,)),
    ):
        callbacks += [callback for callback in ours if callback not in callbacks]
