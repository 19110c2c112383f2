"""Weights of ShuffleNet v1 from one layout to another."""
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import safetensors.torch
import torch
from mmdet.models.utils import make_divisible

from ..common.errors import ConfigError, shorten
from ..compat.checkpoint import CheckpointError
from ..models.shufflenet_v1 import ShuffleNetV1
from ..models.widths import STAGE2_CHANNELS
from .describe import Description, describe
from .layouts import FOREIGN, WRAPPER, Tensors, backbone_tensors, layers_of, renamed, tensors_of
from .preprocessing import IMAGENET, RAW_BGR, Preprocessing
from .pytorchcv_order import from_pytorchcv, to_pytorchcv
from .record import RECORD_KEY, WeightsRecord
from .shuffle_order import reordered

LAYOUTS = ('ours', 'mmpretrain', *FOREIGN)
SUFFIXES = ('.safetensors', '.pth')
_HEAD = ('head.fc.weight', 'head.fc.bias')
_SHUFFLES = dict(mmpretrain='standard', authors='transposed', pytorchcv='standard',
                 zcls='transposed')  # fmt: skip
_PUBLISHERS = dict(authors="the authors' code", pytorchcv='pytorchcv', zcls='ZCls')


@dataclass(frozen=True)
class Converted:
    """Weights in a layout, with what they need.

    Attributes:
        layout: one of :data:`LAYOUTS`.
        tensors: by the names of the layout.
        record: what they need.
        notes: what a user has to know of the conversion.
    """

    layout: str
    tensors: Tensors
    record: WeightsRecord
    notes: tuple[str, ...]


def convert(
    checkpoint: Mapping[str, Any], name: str, layout: str = 'ours', shuffle: str | None = None
) -> Converted:
    """Convert a checkpoint of ShuffleNet v1.

    Args:
        checkpoint: content of a file: a classifier or a backbone of ours, mmpretrain, the
            authors, pytorchcv or ZCls, or a detector of ours, of which the backbone is taken.
        name: of the file, for messages.
        layout: of the result, one of :data:`LAYOUTS`.
        shuffle: order of the shuffle of the result; by default that of the source for our layout
            and the only one that the others have for theirs.

    Raises:
        CheckpointError: it is of another network or incomplete, or the layout cannot hold it.
    """
    found = describe(checkpoint, name)
    if found.layout == 'other':
        raise CheckpointError(
            f'{name} holds no ShuffleNet v1 of ours, of mmpretrain, of the authors, of pytorchcv '
            f'or of ZCls. The first names in it: {shorten(tensors_of(checkpoint))}.'
        )
    fixed = _SHUFFLES.get(layout)
    if fixed and shuffle not in (None, fixed):
        raise ConfigError(f'weights in the layout of {layout} always have shuffle={fixed!r}.')
    shuffle = fixed or shuffle or found.shuffle
    tensors, notes = _taken(tensors_of(checkpoint), found, name)
    _require_whole(tensors, found, name)
    if found.layout == 'pytorchcv':
        tensors = from_pytorchcv(tensors, found.variant['groups'])
    backbone = {n.removeprefix('backbone.'): t for n, t in tensors.items() if n not in _HEAD}
    head = {n: tensors[n] for n in _HEAD if n in tensors}
    if shuffle != found.shuffle:
        backbone = reordered(backbone, found.variant['groups'], found.shuffle, shuffle)
        notes.append(f'channels rearranged from shuffle={found.shuffle!r} to {shuffle!r}')
    result = {**{f'backbone.{n}': t for n, t in backbone.items()}, **head}
    if layout == 'mmpretrain':
        result = _for_mmpretrain(result, found.variant)
    elif layout != 'ours':
        result = _for_foreign(result, found.variant, layout)
    if not found.recorded:
        notes.append(
            'the source does not say its shuffle and preprocessing: taken to be those of the '
            'public files of its layout'
        )
    if layout in FOREIGN:
        notes += _check_pixels(found.preprocessing, layout, name)
    record = WeightsRecord('ShuffleNetV1', found.variant, shuffle, found.preprocessing)
    return Converted(layout, result, record, tuple(notes))


def _check_pixels(pixels: Preprocessing | None, layout: str, name: str) -> list[str]:
    """What to say where a publisher's code gives a network other pixels than these weights need."""
    given = IMAGENET if layout == 'pytorchcv' else RAW_BGR
    if pixels is None or pixels.agrees_with(given):
        return []
    if layout == 'pytorchcv':
        # its files have no room for a record, so this would be forgotten
        raise CheckpointError(
            f'{name} needs pixels as {pixels}: a network of pytorchcv gets {given}, and its files '
            f'cannot say otherwise.'
        )
    return [
        f'{_PUBLISHERS[layout]} gives a network {given}; these weights need {pixels}, so they '
        f'need other pixels there than its own weights'
    ]


def halved(converted: Converted) -> Converted:
    """The same weights in 16 bits, for half the space.

    Raises:
        CheckpointError: a number is too large for that.
    """
    tensors = {n: t.half() if t.is_floating_point() else t for n, t in converted.tensors.items()}
    large = [n for n, t in tensors.items() if not torch.isfinite(t).all()]
    if large:
        raise CheckpointError(f'numbers of {shorten(large, 3)} are too large for 16 bits.')
    return replace(converted, tensors=tensors)


def as_file(converted: Converted, suffix: str) -> bytes:
    """Content of a file with weights and their record.

    Args:
        converted: the weights.
        suffix: ``'.safetensors'``, or ``'.pth'`` for a file of ``torch.save`` with ``meta`` and
            ``state_dict``, which mmengine, mmpretrain and the authors' scripts read. ZCls reads
            ``model`` instead, pytorchcv the tensors alone.
    """
    meta = {RECORD_KEY: converted.record.to_json()}
    # clones: a view would bring the whole storage that it looks into
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in converted.tensors.items()
    }
    if suffix == '.safetensors':
        return safetensors.torch.save(tensors, metadata=meta)
    content = {
        'pytorchcv': tensors,
        'zcls': dict(meta=meta, model=tensors),
    }.get(converted.layout, dict(meta=meta, state_dict=tensors))
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _taken(tensors: Tensors, found: Description, name: str) -> tuple[Tensors, list[str]]:
    """Backbone and classifier under our names, and what has been left."""
    if found.layout in FOREIGN:
        taken, unknown = renamed(tensors, layers_of(found.layout))
        if unknown:
            raise CheckpointError(
                f'{name} looks like a file of {_PUBLISHERS[found.layout]}, but has tensors that '
                f'those have not: {shorten(unknown)}.'
            )
        return taken, []
    prefix = found.prefix.removeprefix(WRAPPER)
    backbone = backbone_tensors(tensors, prefix)
    taken = {f'backbone.{n}': t for n, t in backbone.items()}
    kept = 'the backbone'
    if prefix == 'backbone.' and _HEAD[0] in tensors:
        taken |= {n: tensors[n] for n in _HEAD if n in tensors}
        kept = 'the backbone and the classifier'
    notes = []
    if len(taken) < len(tensors):
        parts = {n.partition('.')[0] for n in tensors if n not in taken} - {'backbone'}
        notes.append(f'only {kept} of the source, without {shorten(sorted(parts))}')
    return taken, notes


def _require_whole(tensors: Tensors, found: Description, name: str) -> None:
    """Raise unless the tensors are those of the whole network that the description tells of."""
    backbone = {n.removeprefix('backbone.'): t for n, t in tensors.items() if n not in _HEAD}
    head = {n: tensors[n] for n in _HEAD if n in tensors}
    try:
        with torch.device('meta'):
            model = ShuffleNetV1(**found.variant, shuffle=found.shuffle)
    except ConfigError as error:
        raise CheckpointError(f'{name} is of a network that cannot be: {error}') from None
    shapes = {n: tuple(t.shape) for n, t in backbone.items()}
    expected = {n: tuple(t.shape) for n, t in model.state_dict().items()}
    if head:
        weight, bias = _HEAD
        shapes |= {n: tuple(t.shape) for n, t in head.items()}
        classes = tuple(head[weight].shape[:1]) if weight in head else ()
        expected[weight] = (*classes, model.out_channels[-1])
        if bias in head:
            expected[bias] = classes
    missing = [n for n in expected if n not in shapes and not n.endswith('num_batches_tracked')]
    wrong = [n for n in expected if n in shapes and shapes[n] != expected[n]]
    unknown = [n for n in shapes if n not in expected]
    for names, what in ((missing, 'lacks'), (wrong, 'has another shape of'), (unknown, 'adds')):
        if names:
            raise CheckpointError(
                f'{name} is not the whole ShuffleNet v1 that its first layers tell of '
                f'({found.variant}): it {what} {shorten(names, 3)}.'
            )


def mmpretrain_factor(variant: Mapping[str, Any]) -> float:
    """The ``widen_factor`` with which mmpretrain builds a network of these widths.

    Raises:
        CheckpointError: it can build none.
    """
    _require_plain(variant, 'mmpretrain')
    stages, stem = tuple(variant['stage_channels']), variant['stem_channels']
    base = STAGE2_CHANNELS.get(variant['groups'])
    factors = [] if base is None else [c / (base * 2**i) for i, c in enumerate(stages)]
    for factor in factors:
        widths = tuple(make_divisible(base * 2**i * factor, 8) for i in range(3))
        if (int(24 * factor), widths) == (stem, stages):
            return factor
    raise CheckpointError(
        f'mmpretrain has no width factor that gives a stem of {stem} and stages of {stages} '
        f'channels; its stem has 24 times the factor.'
    )


def _for_mmpretrain(tensors: Tensors, variant: dict) -> Tensors:
    mmpretrain_factor(variant)
    return _with_bias(tensors)


def _with_bias(tensors: Tensors) -> Tensors:
    """The tensors with a bias of the classifier, where there is one at all."""
    weight, bias = _HEAD
    if weight not in tensors or bias in tensors:
        return tensors
    return {**tensors, bias: tensors[weight].new_zeros(tensors[weight].shape[0])}


def _without_bias(tensors: Tensors, where: str) -> Tensors:
    weight, bias = _HEAD
    if tensors.get(bias, torch.zeros(1)).any():
        raise CheckpointError(
            f'the classifier of {where} has no bias and the source has one that is not zero.'
        )
    return {name: tensor for name, tensor in tensors.items() if name != bias}


def _for_foreign(tensors: Tensors, variant: dict, layout: str) -> Tensors:
    where = _PUBLISHERS[layout]
    _require_plain(variant, where)
    if _HEAD[0] not in tensors:
        raise CheckpointError(
            f'the layout of {where} is that of a classifier and the source has none.'
        )
    if layout == 'pytorchcv':
        tensors = to_pytorchcv(_with_bias(tensors), variant['groups'])
    else:
        tensors = _without_bias(tensors, where)
    return renamed(tensors, {ours: theirs for theirs, ours in layers_of(layout).items()})[0]


def _require_plain(variant: Mapping[str, Any], where: str) -> None:
    if variant.get('shallow') or variant.get('with_se'):
        raise CheckpointError(f'{where} has no shallow nets and no squeeze-and-excitation.')
