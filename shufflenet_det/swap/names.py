"""Backbones by the names of the zoo: ``shufflenet-v1-1x-g3`` is that of its ImageNet config."""
import ast
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from mmengine.config import Config

from ..engine.config import CONFIGS, arguments_of, suggest
from ..errors import ConfigError
from ..models import backbones

DEFAULT_BACKBONE = 'shufflenet-v1-1x-g3'
_SUFFIX = '_in1k'


@cache
def backbone_names() -> tuple[str, ...]:
    """Names of all networks that have a config in ``configs/imagenet``."""
    stems = (path.stem for path in (CONFIGS / 'imagenet').glob(f'*{_SUFFIX}.py'))
    names = {stem.removesuffix(_SUFFIX) for stem in stems}
    # other recipes for the same network, such as "..._ours-600k"
    return tuple(sorted(name for name in names if '_' not in name))


def backbone_config(backbone: str | Mapping) -> dict:
    """The config of a backbone, without ``out_indices``.

    Args:
        backbone: a name of :func:`backbone_names`, a ``type`` of the registry for its default
            variant, or a config.

    Raises:
        ConfigError: there is no such backbone; the nearest names are in the message.
    """
    kinds = backbones()
    if isinstance(backbone, Mapping):
        cfg = dict(backbone)
        name = cfg.get('type')
    elif backbone in backbone_names():
        cfg = dict(Config.fromfile(CONFIGS / 'imagenet' / f'{backbone}{_SUFFIX}.py').model.backbone)
        name = cfg['type']
    else:
        cfg, name = dict(type=backbone), backbone
    if name not in kinds:
        known = [*backbone_names(), *kinds]
        folded = {k.lower(): k for k in known}
        near = [folded[m] for m in get_close_matches(str(name).lower(), folded, 3, cutoff=0.5)]
        raise ConfigError(
            f'no backbone named {name!r}.'
            + (f' Did you mean {" or ".join(near)}?' if near else '')
            + ' `tools/swap_backbone.py --list` lists them.'
        )
    for key in ('out_indices', 'init_cfg', 'pretrained'):
        cfg.pop(key, None)
    known = arguments_of(kinds[name])
    for key in cfg:
        if key not in known | {'type'}:
            raise ConfigError(f'{name} has no setting {key!r}.{suggest(key, known)}')
    return cfg


def parse_backbone(text: str | None) -> str | dict | None:
    """What a command line says of a backbone: a name as it is, ``'type=X key=value'`` as a config.

    Raises:
        ConfigError: a part of a config is not ``key=value``.
    """
    if text is None or '=' not in text:
        return text
    cfg = {}
    for setting in text.split():
        key, equals, value = setting.partition('=')
        if not equals:
            raise ConfigError(f'--backbone {text!r}: expected key=value, not {setting!r}.')
        try:
            cfg[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            cfg[key] = value
    return cfg
