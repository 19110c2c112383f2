"""What the config of a detector has to be, to start from weights."""
import os
from collections.abc import Mapping

from mmengine.config import Config

from ..models.widths import shufflenet_v1_widths
from .describe import Description, describe_checkpoint
from .public_names import find_public


def start_from(pretrained: str) -> dict:
    """Settings of a detector that starts from weights, for its config.

    The base configs call it with what ``SHUFFLENET_PRETRAINED`` names. A public name or a file says
    itself which network it is of, and what that needs. An address, and a file that is not there
    or is of another network, are taken as they are: they are checked when they are loaded.

    Args:
        pretrained: path, address or ``shufflenet://`` name of weights; ``'none'`` for none.

    Returns:
        ``backbone``, arguments of a ``ShuffleNetV1``; ``channels`` of its four levels, empty if not
        known; ``pixels``, ``mean``, ``std`` and ``bgr_to_rgb`` of a ``DetDataPreprocessor``; and
        ``init_cfg`` and ``stage4_init_cfg`` of the backbone and of a shared stage 4. What is
        not known is empty.

    Raises:
        CheckpointError: there is no such name, or the file cannot be read.
    """
    start = dict(backbone={}, channels=[], pixels={}, init_cfg={}, stage4_init_cfg={})
    if pretrained == 'none':
        return start
    prefix = 'backbone.'
    weights = _described(pretrained)
    if weights is not None and weights.layout == 'ours' and weights.complete and weights.variant:
        prefix = weights.prefix
        start['backbone'] = dict(weights.variant)
        start['channels'] = [weights.variant['stem_channels'], *weights.variant['stage_channels']]
        # of a file without a record, the config's own are as good a guess as any
        if weights.recorded:
            start['backbone']['shuffle'] = weights.shuffle
    if weights is not None and weights.recorded and weights.preprocessing is not None:
        start['pixels'] = weights.preprocessing.as_detector_cfg()
    init_cfg = dict(type='Pretrained', checkpoint=pretrained)
    start['init_cfg'] = init_cfg | (dict(prefix=prefix) if prefix else {})
    start['stage4_init_cfg'] = init_cfg | dict(prefix=f'{prefix}layers.2.')
    return start


def level_channels(start: Mapping, groups: int, widen_factor: float) -> list[int]:
    """Channels of the four levels of a detector's ShuffleNet v1, for its config.

    Args:
        start: what :func:`start_from` returned; the weights decide, where it knows theirs.
        groups, widen_factor: of the network without them (:func:`.widths.shufflenet_v1_widths`).
    """
    stem, stages = shufflenet_v1_widths(groups, widen_factor)
    return list(start['channels'] or (stem, *stages))


def has_start(cfg: Config) -> bool:
    """Whether a config has, as ``start``, what :func:`start_from` returns."""
    start = cfg.get('start')
    return isinstance(start, Mapping) and 'stage4_init_cfg' in start


def _described(pretrained: str) -> Description | None:
    # a name of the list without its scheme is an error that says so, like one that is unknown
    by_name = find_public(pretrained) is not None
    if by_name or os.path.isfile(os.path.expanduser(pretrained)):
        return describe_checkpoint(pretrained)
    return None


def started_from(cfg: Config) -> str | None:
    """A line for the log on what :func:`start_from` has set; None if it has set nothing."""
    if not has_start(cfg) or not cfg.start.get('backbone'):
        return None
    start = cfg.start
    settings = {**start['backbone'], **start['pixels']}
    shown = ', '.join(f'{key}={value!r}' for key, value in settings.items())
    return (
        f'The detector starts from {start["init_cfg"]["checkpoint"]}. Set by these weights, '
        f'whatever the name of the config says: {shown}.'
    )
