"""Whether pretrained weights reach the model that a config trains, and what to do if not."""
import os
import shlex
from collections.abc import Mapping

from mmengine.config import Config

from ..common.config import pretrained_of
from ..common.errors import ConfigError
from ..compat.checkpoint import require_present
from ..weights.start import has_start
from .setup import is_classifier

VARIABLE = 'SHUFFLENET_PRETRAINED'


def is_pretrained(cfg: Config) -> bool:
    """Whether any part of the model that is trained starts from a checkpoint."""
    return bool(cfg.get('load_from') or pretrained_of(cfg.model))


def reads_variable(cfg: Config) -> bool:
    """Whether a file of the config reads SHUFFLENET_PRETRAINED.

    MMEngine notes which variables a config has read, if they were set. Where this one is not, the
    base configs that would read it are known by their ``start``.
    """
    if VARIABLE in os.environ:
        return VARIABLE in cfg.env_variables
    return has_start(cfg)


def require_checkpoints(cfg: Config) -> None:
    """See that the files are there that parts of the model start from.

    Raises:
        CheckpointError: a part starts from a path, and there is no checkpoint.
    """
    for checkpoint in pretrained_of(cfg.model):
        require_present(checkpoint)


def require_pretraining(cfg: Config) -> None:
    """See that weights in SHUFFLENET_PRETRAINED reach the model of a detector.

    Raises:
        ConfigError: they do not, and no others do: the config does not read the variable, or
            inherits one that does and has another backbone; or the backbone starts from others,
            though what the variable names has set its width, shuffle or pixels.
    """
    weights = _weights()
    if not weights or is_classifier(cfg):
        return
    if is_pretrained(cfg):
        _require_one_start(cfg, weights)
        return
    if reads_variable(cfg):
        reason = (
            f'{VARIABLE}={weights} reaches no part of the model, because the config replaces the '
            f'backbone that would load it'
        )
    else:
        reason = f'this config does not read {VARIABLE}, which is set to {weights}'
    raise ConfigError(
        f'{reason}: the backbone would start from random weights. {_remedy(cfg, weights)}; or '
        f'unset {VARIABLE} to start from random ones.'
    )


def pretraining_warning(cfg: Config) -> str | None:
    """What to say of the weights that the model starts from, None if there is nothing to say."""
    if _weights() and not reads_variable(cfg):
        return (
            f'This config does not read {VARIABLE}, which is set to {_weights()}: the model starts '
            f'from what the config names.'
        )
    if is_pretrained(cfg) or is_classifier(cfg):
        return None
    if reads_variable(cfg) and _would_reach(cfg):
        remedy = (
            f'Set {VARIABLE} to an ImageNet checkpoint (a name that `tools/convert_weights.py '
            f'--list` prints, a path or a URL) to start from it'
        )
    else:
        remedy = _remedy(cfg, 'CHECKPOINT')
    return (
        f'The backbone starts from random weights. {remedy}, unless training from scratch is what '
        f'you want.'
    )


def _require_one_start(cfg: Config, weights: str) -> None:
    key, backbone = _backbone(cfg)
    own = ((backbone or {}).get('init_cfg') or {}).get('checkpoint')
    if reads_variable(cfg) and own not in (None, weights):
        raise ConfigError(
            f'{key}.init_cfg names {own} and {VARIABLE} names {weights}, which sets width, shuffle '
            f'and pixels of the config: unset {VARIABLE} to start from the first.'
        )


def _weights() -> str:
    weights = os.environ.get(VARIABLE, '')
    return '' if weights == 'none' else weights


def _would_reach(cfg: Config) -> bool:
    """Whether the backbone takes its weights from the variable, where that is set.

    The config's files set ``init_cfg`` either way; one that replaces the backbone does not.
    """
    return 'init_cfg' in (_backbone(cfg)[1] or {})


def _backbone(cfg: Config) -> tuple[str, Mapping | None]:
    """Key and config of the backbone, which in a tracker is that of its detector."""
    inner = cfg.model.get('detector')
    if 'backbone' not in cfg.model and isinstance(inner, Mapping) and 'backbone' in inner:
        return 'model.detector.backbone', inner.backbone
    return 'model.backbone', cfg.model.get('backbone')


def _remedy(cfg: Config, weights: str) -> str:
    """How to start from weights with a config that does not read the variable."""
    config, weights = shlex.quote(cfg.filename or 'CONFIG'), shlex.quote(weights)
    swap = (
        f'To start from pretrained weights, run `python tools/swap_backbone.py {config} '
        f'--checkpoint {weights} --out NEW_CONFIG` and train with that'
    )
    key, backbone = _backbone(cfg)
    # a shared RoI stage needs its weights, too; into a None nothing can be merged
    if (cfg.model.get('roi_head') or {}).get('shared_head') or 'init_cfg' in (backbone or {}):
        return swap
    init_cfg = f'{key}.init_cfg'
    return (
        f'{swap}, or add `--cfg-options {init_cfg}.type=Pretrained {init_cfg}.checkpoint={weights} '
        f'{init_cfg}.prefix=backbone.`'
    )
