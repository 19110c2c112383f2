"""Backbones by the names of the zoo: ``shufflenet-v1-1x-g3`` is that of its ImageNet config."""
import ast
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from mmengine.config import Config

from ..common.config import arguments_of, require_configs, suggest
from ..common.errors import ConfigError
from ..models import backbones

DEFAULT_BACKBONE = 'shufflenet-v1-1x-g3'
_SUFFIX = '_in1k'


@cache
def backbone_names() -> tuple[str, ...]:
    """Names of all networks that have a config in ``configs/imagenet``.

    Raises:
        ConfigError: the package is not installed, so that its configs are not found.
    """
    stems = (path.stem for path in (require_configs() / 'imagenet').glob(f'*{_SUFFIX}.py'))
    names = {stem.removesuffix(_SUFFIX) for stem in stems}
    # other recipes for the same network, such as "..._ours-600k"
    return tuple(sorted(name for name in names if '_' not in name))


def backbone_config(backbone: str | Mapping) -> dict:
    """The config of a backbone, without ``out_indices``.

    Args:
        backbone: a name of :func:`backbone_names`, a ``type`` of the registry for its default
            variant, or a config.

    Raises:
        ConfigError: there is no such backbone, with the nearest names in the message; or names
            cannot be looked up, because the package is not installed.
    """
    kinds = backbones()
    if isinstance(backbone, Mapping):
        cfg = dict(backbone)
        if 'type' not in cfg:
            settings = ' '.join(f'{key}={value!r}' for key, value in cfg.items())
            raise ConfigError(
                f'type= is missing in the backbone {settings}: name one, such as '
                f'type=ShuffleNetV1.'
            )
        name = cfg['type']
    elif backbone not in kinds and backbone in backbone_names():
        path = require_configs() / 'imagenet' / f'{backbone}{_SUFFIX}.py'
        cfg = dict(Config.fromfile(path).model.backbone)
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
        ConfigError: a part of a config is not ``key=value``, or a value is neither a word nor
            made of literals.
    """
    if text is None or '=' not in text:
        return text
    cfg = {}
    for setting in _settings(text):
        key, equals, value = setting.partition('=')
        if not equals or not key.isidentifier():
            raise ConfigError(f'--backbone {text!r}: expected key=value, not {setting!r}.')
        cfg[key] = _value(key, value)
    return cfg


def _settings(text: str) -> list[str]:
    """The parts of a text between blanks, but for those inside brackets and quotes."""
    parts, depth, quote = [''], 0, ''
    for char in text:
        if quote:
            quote = '' if char == quote else quote
        elif char in '\'"':
            quote = char
        else:
            depth += (char in '([{') - (char in ')]}')
        if char.isspace() and not quote and depth <= 0:
            parts.append('')
        else:
            parts[-1] += char
    return [part for part in parts if part]


def _value(key: str, text: str) -> object:
    """A word, which stands for itself, or literals, ``dict(key=literal)`` among them."""
    try:
        return ast.literal_eval(_DictCalls().visit(ast.parse(text, mode='eval')))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        # a string that is taken for true is not what `false` means
        mistyped = text.title() in ('True', 'False', 'None')
        if not mistyped and re.fullmatch(r'[A-Za-z_][\w.-]*', text):
            return text
    raise ConfigError(
        f'--backbone: the value {text!r} of {key} cannot be read. Give a word, or Python of '
        f"literals: True, 0.5, (1, 2), dict(type='GN', num_groups=4)."
    )


class _DictCalls(ast.NodeTransformer):
    """``dict(a=1)`` as the literal ``{'a': 1}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        named = not node.args and all(keyword.arg for keyword in node.keywords)
        if not named or not isinstance(node.func, ast.Name) or node.func.id != 'dict':
            return node
        keys = [ast.Constant(keyword.arg) for keyword in node.keywords]
        return ast.Dict(keys, [keyword.value for keyword in node.keywords])
