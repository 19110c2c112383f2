"""What a file of weights says it needs: variant, shuffle order, preprocessing.

The record is JSON text under the key ``shufflenet_det``: in the header's metadata of a safetensors
file, in ``meta`` of a file of ``torch.save``.
"""
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..common.errors import ConfigError
from ..compat.checkpoint import CheckpointError
from ..models.shuffle_unit import SHUFFLES
from ..models.widths import check_widths
from .preprocessing import Preprocessing

RECORD_KEY = 'shufflenet_det'
_VERSION = 1
_WIDTHS = {'groups', 'stem_channels', 'stage_channels'}
_SWITCHES = {'shallow', 'with_se'}


@dataclass(frozen=True)
class WeightsRecord:
    """What a network must be, and what it must be given, for its weights to mean anything.

    Attributes:
        backbone: its ``type`` in a config, if known.
        variant: of a ``ShuffleNetV1``, the arguments ``groups``, ``stem_channels`` and
            ``stage_channels``, and ``shallow`` and ``with_se`` where they are true.
        shuffle: order of the channel shuffle; None for a network without.
        preprocessing: what the pixels go through, if known.
    """

    backbone: str | None
    variant: dict[str, Any]
    shuffle: str | None
    preprocessing: Preprocessing | None

    def to_json(self) -> str:
        """The record as text."""
        return json.dumps(dict(version=_VERSION, **asdict(self)))

    @classmethod
    def from_json(cls, text: str) -> 'WeightsRecord':
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is no such text.
        """
        content = json.loads(text)
        _require(isinstance(content, dict), 'it is no JSON object')
        _require(content.get('version') == _VERSION, f'its version is not {_VERSION}')
        backbone, shuffle = content.get('backbone'), content.get('shuffle')
        _require(backbone is None or isinstance(backbone, str), 'backbone is no name')
        _require(shuffle is None or shuffle in SHUFFLES, f'shuffle is none of {SHUFFLES}')
        preprocessing = content.get('preprocessing')
        return cls(
            backbone=backbone,
            variant=_variant(content.get('variant')),
            shuffle=shuffle,
            preprocessing=None if preprocessing is None else _preprocessing(preprocessing),
        )


def read_record(meta: Mapping[str, Any] | None, name: str) -> WeightsRecord | None:
    """The record in the ``meta`` of a checkpoint, or None where it has none.

    Args:
        meta: of the checkpoint.
        name: of the checkpoint, for the message.

    Raises:
        CheckpointError: the record is damaged.
    """
    if not meta or RECORD_KEY not in meta:
        return None
    try:
        return WeightsRecord.from_json(meta[RECORD_KEY])
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise CheckpointError(
            f'the record of {name}, which says what its weights need, is damaged or of another '
            f'version ({error}). Convert the weights again with tools/convert_weights.py.'
        ) from None


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ValueError(reason)


def _variant(content: Any) -> dict[str, Any]:
    _require(isinstance(content, dict), 'variant is no JSON object')
    if not content:
        return {}
    _require(_WIDTHS <= set(content) <= _WIDTHS | _SWITCHES, 'variant has other keys')
    stages = content['stage_channels']
    _require(isinstance(stages, list), 'stage_channels is no list')
    try:
        check_widths(content['stem_channels'], stages, content['groups'])
    except ConfigError as error:
        raise ValueError(str(error)) from None
    # wider than any network; what is too wide for torch fails there in other ways
    _require(max(stages) < 10**6, 'stage_channels is too wide')
    switches = {key: content[key] for key in _SWITCHES & set(content)}
    _require(all(value is True for value in switches.values()), 'variant has another switch')
    return {**content, 'stage_channels': tuple(stages)}


def _preprocessing(content: Any) -> Preprocessing:
    _require(isinstance(content, dict), 'preprocessing is no JSON object')
    mean, std = (_numbers(content.get(key)) for key in ('mean', 'std'))
    _require(all(value > 0 for value in std), 'std is not positive')
    order = content.get('channel_order')
    _require(order in ('rgb', 'bgr'), 'channel_order is neither rgb nor bgr')
    return Preprocessing(mean, std, order)


def _numbers(content: Any) -> tuple[float, float, float]:
    _require(
        isinstance(content, list)
        and len(content) == 3
        and all(type(value) in (int, float) and math.isfinite(value) for value in content),
        'mean or std is not three numbers',
    )
    return tuple(map(float, content))
