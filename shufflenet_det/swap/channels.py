"""The channels that neck, heads and shared RoI stage expect, corrected for another backbone."""
import copy
from collections.abc import Callable, Iterator, MutableMapping, Sequence

import torch
from mmengine.config import ConfigDict

from .levels import Levels, SwapError, build_without_weights, empty_image, run

# these hold settings of training and testing, or another network, and no consumers of features
_NOT_CONSUMERS = ('backbone', 'data_preprocessor', 'train_cfg', 'test_cfg')


def type_name(cfg: object) -> str:
    """Name of the class that a config builds, without the scope before it."""
    kind = cfg.get('type') if hasattr(cfg, 'get') else None
    return kind.rsplit('.', 1)[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')


def correct_channels(
    detector: ConfigDict, old: Levels, new: Levels, shared_stage: dict | None
) -> None:
    """Make everything behind the backbone take the new levels.

    Args:
        detector: config of the detector with its new backbone, changed in place.
        old: levels that the old backbone returned.
        new: levels that the new one returns, as many, at the same strides.
        shared_stage: config of the new shared RoI stage, for a detector that has one.

    Raises:
        SwapError: what takes the features cannot be told, or would not work with the new ones.
    """
    neck = detector.get('neck')
    first = neck[0] if isinstance(neck, Sequence) and neck else neck
    if first:
        before = copy.deepcopy(neck)
        _correct_first_neck(first, old, new)
        _correct_groups(first)
        old_outputs = _outputs_of(before, old, 'the neck')
        new_outputs = _outputs_of(neck, new, 'the neck with the new channels')
        _compare(type_name(first), old, new, old_outputs, new_outputs)
        old, new = old_outputs, new_outputs
    if old.channels != new.channels and not _correct_heads(detector, old.channels, new.channels):
        raise SwapError(
            f'nothing behind the backbone names its channels ({_listed(old.channels)}) as '
            f'in_channels: what takes the features of this model cannot be told.'
        )
    if (detector.get('roi_head') or {}).get('shared_head'):
        _exchange_shared_head(detector.roi_head, old, new, shared_stage)


def _outputs_of(neck: ConfigDict | Sequence[ConfigDict], levels: Levels, what: str) -> Levels:
    for part in neck if isinstance(neck, Sequence) else [neck]:
        levels = run(build_without_weights(part, what), levels.maps, what=what)
    return levels


def _correct_first_neck(neck: ConfigDict, old: Levels, new: Levels) -> None:
    kind = type_name(neck)
    if 'in_channels' not in neck:
        return
    before = neck.in_channels
    if before == old.channels[-1]:
        # a neck of one level takes the last one
        corrected = new.channels[-1]
    else:
        corrected = _translated(before, old.channels, new.channels)
    if corrected is None:
        raise SwapError(
            f'the neck {kind} has in_channels={before}, the old backbone returns '
            f'{_listed(old.channels)}: which levels it takes cannot be told.'
        )
    neck.in_channels = corrected
    if kind == 'SSDNeck':
        # hands the levels of the backbone on, before those that it adds
        neck.out_channels = corrected + neck.out_channels[len(corrected) :]


def _correct_groups(neck: ConfigDict) -> None:
    """Fewer groups for group norm, where those of the old channels do not divide the new ones."""
    groups = (neck.get('norm_cfg') or {}).get('num_groups')
    while groups and groups > 1:
        try:
            build_without_weights(neck, 'the neck')
        except SwapError as error:
            if not isinstance(error.__cause__, ValueError):
                raise
            groups //= 2
            neck.norm_cfg = ConfigDict(neck.norm_cfg, num_groups=groups)
        else:
            return


def _compare(
    neck: str, old: Levels, new: Levels, old_outputs: Levels, new_outputs: Levels
) -> None:
    """Behind the neck nothing may have changed, unless the neck hands channels on."""
    same_count = len(old_outputs.maps) == len(new_outputs.maps)
    if not same_count or (old.sizes == new.sizes and old_outputs.sizes != new_outputs.sizes):
        raise SwapError(
            f'the neck {neck} makes maps of {_listed(new_outputs.sizes)} from the new backbone, '
            f'and {_listed(old_outputs.sizes)} from the old one.'
        )


def _exchange_shared_head(
    roi_head: ConfigDict, old: Levels, new: Levels, shared_stage: dict
) -> None:
    """Put the last stage of the new backbone where that of the old one ran on each RoI."""
    size = roi_head.bbox_roi_extractor.roi_layer.output_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    outputs = []
    for cfg, levels in ((roi_head.shared_head, old), (shared_stage, new)):
        rois = torch.zeros(1, levels.channels[-1], *size)
        stage = build_without_weights(cfg, 'the shared RoI stage')
        outputs.append(run(stage, rois, what='the shared RoI stage'))
    before, after = outputs
    if before.sizes != after.sizes:
        raise SwapError(
            f'the shared RoI stage makes {_listed(after.sizes)} bins of {size}, the old one '
            f'{_listed(before.sizes)}.'
        )
    roi_head.shared_head = ConfigDict(shared_stage)
    for head in _nested(roi_head, lambda key: key.endswith('_head') and key != 'shared_head'):
        corrected = _translated(head.get('in_channels'), before.channels, after.channels)
        if corrected is not None:
            head.in_channels = corrected


def _correct_heads(detector: ConfigDict, old: Sequence[int], new: Sequence[int]) -> int:
    """Translate channels wherever a head or RoI extractor names them; how many were changed."""
    changed = 0
    for part in _nested(detector, lambda key: key not in (*_NOT_CONSUMERS, 'neck', 'shared_head')):
        # an RoI extractor hands the channels of a level on
        key = 'out_channels' if type_name(part).endswith('RoIExtractor') else 'in_channels'
        corrected = _translated(part.get(key), old, new)
        if corrected is not None and corrected != part[key]:
            part[key] = corrected
            changed += 1
    return changed


def _nested(cfg: object, follow: Callable[[str], bool]) -> Iterator[MutableMapping]:
    """All dicts with a type inside a config, along the keys to follow."""
    if isinstance(cfg, MutableMapping):
        for key in cfg:
            if follow(key):
                yield from _inner(cfg[key], follow)


def _inner(value: object, follow: Callable[[str], bool]) -> Iterator[MutableMapping]:
    if isinstance(value, MutableMapping):
        yield value
        yield from _nested(value, follow)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _inner(item, follow)


def _translated(value: object, old: Sequence[int], new: Sequence[int]) -> object | None:
    """A setting that names the old channels, with the new ones in their place; None if it does not.

    One number is for the only level there is, or for all of them; a list names all levels, from the
    finest or from the coarsest.
    """
    if isinstance(value, int):
        return new[-1] if set(old) == {value} and len(set(new)) == 1 else None
    if isinstance(value, (list, tuple)):
        for step in (1, -1):
            if list(value) == list(old)[::step]:
                return type(value)(list(new)[::step])
    return None


def _listed(values: Sequence[object]) -> str:
    return ', '.join(map(str, values))


def measure_backbone(cfg: dict, what: str) -> Levels:
    """The levels that a backbone returns for an empty image."""
    return run(build_without_weights(cfg, what), empty_image(), what=what)
