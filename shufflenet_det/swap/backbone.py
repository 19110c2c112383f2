"""The config of the new backbone: from a name of the zoo, and from the weights that it loads."""
import shlex
from collections.abc import Mapping

from mmengine.runner.checkpoint import CheckpointLoader

from ..common.errors import ConfigError
from ..compat.checkpoint import compare_keys
from ..models.widths import (
    STAGE2_CHANNELS,
    check_positive_widths,
    check_widths,
    shufflenet_v1_widths,
)
from ..weights import Description, describe_checkpoint
from ..weights.layouts import FOREIGN
from ..weights.preprocessing import IMAGENET, Preprocessing
from ..weights.public_names import SCHEME, find_public
from .levels import SwapError, build_without_weights
from .names import DEFAULT_BACKBONE, backbone_config

_FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
# torchvision's other files need what ours do
_OF_TORCHVISION = {'GoogLeNet': Preprocessing((127.5,) * 3, (127.5,) * 3, 'rgb')}


def choose_backbone(
    backbone: str | Mapping | None, checkpoint: str | None
) -> tuple[dict, Description | None]:
    """The backbone's config without levels and weights, and what its weights are.

    Args:
        backbone: a name, a ``type`` or a config; by default that of the checkpoint.
        checkpoint: path, address or ``shufflenet://`` name of weights.

    Raises:
        ConfigError: no such backbone.
        SwapError: the weights are of another network, or in a layout that cannot be loaded.
        CheckpointError: the weights cannot be read.
    """
    if checkpoint is None:
        return backbone_config(DEFAULT_BACKBONE if backbone is None else backbone), None
    weights = describe_checkpoint(checkpoint)
    if weights.layout in FOREIGN:
        public = find_public(checkpoint)
        by_name = f', or give its name, {SCHEME}{public.name}' if public else ''
        raise SwapError(
            f'{checkpoint} has the layout of its publisher ({weights.layout}). Convert it first: '
            f'`python tools/convert_weights.py {shlex.quote(checkpoint)} OUT.safetensors`, and '
            f'give OUT{by_name}.'
        )
    if not weights.complete:
        raise SwapError(
            f'{checkpoint} does not hold all stages as one backbone, as that of a C4 detector does '
            f'not. Convert it first: `python tools/convert_weights.py {shlex.quote(checkpoint)} '
            f'OUT.safetensors`, and give OUT.'
        )
    if weights.backbone == 'ShuffleNetV1':
        return _with_stated(backbone, checkpoint, weights), weights
    if backbone is None:
        raise SwapError(f'{checkpoint} does not tell its network: name it with --backbone.')
    stated = backbone_config(backbone)
    _require_weights_of(stated, checkpoint, weights)
    return stated, weights


def _with_stated(backbone: str | Mapping | None, checkpoint: str, weights: Description) -> dict:
    """The network of ShuffleNet's weights, which the one that was named must be."""
    found = _named(weights.variant)
    if backbone is None:
        result = found
    else:
        stated = backbone_config(backbone)
        other_stem = 'stem_channels' in stated and (
            stated['stem_channels'] != weights.variant['stem_channels']
        )
        if other_stem or _variant(stated) != _variant(found):
            raise SwapError(
                f'{checkpoint} holds the weights of {_shown(found)}, not of {_shown(stated)}. Name '
                f'that backbone, or leave the name out to take the one of the weights.'
            )
        result = {**stated, **{k: found[k] for k in ('stem_channels',) if k in found}}
    if weights.shuffle != 'standard' or 'shuffle' in result:
        result['shuffle'] = weights.shuffle
    return result


def _require_weights_of(stated: dict, checkpoint: str, weights: Description) -> None:
    """Names and shapes of the weights must be those of the whole network that was named."""
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    tensors = loaded.get('state_dict', loaded)
    found = {
        name.removeprefix(weights.prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(weights.prefix)
    }
    keys = compare_keys(build_without_weights(stated, 'the new backbone'), found)
    if not keys.complete:
        raise SwapError(f'{checkpoint} does not hold the weights of {_shown(stated)}: {keys}.')


def preprocessing_for(backbone: Mapping, weights: Description | None) -> dict:
    """``mean``, ``std`` and ``bgr_to_rgb`` of a ``DetDataPreprocessor``.

    Without weights they are those with which all networks of the zoo are pretrained.
    """
    wanted = IMAGENET
    if weights is not None and weights.preprocessing is not None:
        wanted = weights.preprocessing
    elif weights is not None and not weights.prefix:
        # a file of torchvision, which has the bare names
        wanted = _OF_TORCHVISION.get(backbone['type'], IMAGENET)
    return wanted.as_detector_cfg()


def pretrained(checkpoint: str, weights: Description, inside: str = '') -> dict:
    """``init_cfg`` that loads the backbone, or the part of it whose keys start with ``inside``."""
    prefix = weights.prefix + inside
    return dict(type='Pretrained', checkpoint=checkpoint, **(dict(prefix=prefix) if prefix else {}))


def _named(variant: Mapping) -> dict:
    """A variant by its width factor, where it has one, instead of by its channels."""
    kept = {k: v for k, v in variant.items() if k not in ('stem_channels', 'stage_channels')}
    stem, stages = variant['stem_channels'], tuple(variant['stage_channels'])
    base = dict(type='ShuffleNetV1', **kept)
    if variant['groups'] in STAGE2_CHANNELS:
        for factor in _FACTORS:
            try:
                usual, widths = shufflenet_v1_widths(
                    variant['groups'], factor, variant.get('shallow', False)
                )
            except ConfigError:
                continue
            if widths == stages:
                other_stem = {} if usual == stem else dict(stem_channels=stem)
                return dict(base, widen_factor=factor, **other_stem)
    check_widths(stem, stages, variant['groups'])
    return dict(base, stem_channels=stem, stage_channels=stages)


def _variant(cfg: Mapping) -> tuple:
    """What two networks must share for the weights of one to fit the other, but for the stem."""
    if cfg['type'] != 'ShuffleNetV1':
        return (cfg['type'],)
    groups, shallow = cfg.get('groups', 3), cfg.get('shallow', False)
    stages = cfg.get('stage_channels')
    if stages is None:
        stages = shufflenet_v1_widths(groups, cfg.get('widen_factor', 1.0), shallow)[1]
    # the stem has been compared already, where it is given
    check_positive_widths(cfg.get('stem_channels', 1), stages)
    return cfg['type'], groups, shallow, cfg.get('with_se', False), tuple(stages)


def _shown(cfg: Mapping) -> str:
    settings = ', '.join(f'{k}={v}' for k, v in cfg.items() if k != 'type')
    return f'{cfg["type"]} ({settings})' if settings else cfg['type']
