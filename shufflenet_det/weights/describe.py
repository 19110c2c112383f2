"""What a file of weights is: its layout, its network, and what that needs."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from ..compat.checkpoint import CheckpointError
from .layouts import (
    Tensors,
    backbone_prefix,
    backbone_tensors,
    is_of_authors,
    layers_of_authors,
    renamed,
    tensors_of,
    variant_of,
)
from .preprocessing import IMAGENET, RAW_BGR, Preprocessing
from .public import find_public
from .record import WeightsRecord, read_record


@dataclass(frozen=True)
class Description:
    """What a checkpoint holds.

    Attributes:
        layout: ``'ours'`` for a ShuffleNet v1 with our names, which are mmpretrain's too,
            ``'authors'`` for the authors' release, which has to be converted before a model can
            load it, ``'other'`` for another network.
        backbone: its ``type`` in a config, None if not known.
        variant: the arguments ``groups``, ``stem_channels`` and ``stage_channels`` of
            ``ShuffleNetV1``, and ``shallow`` and ``with_se`` where they are true; else empty.
        shuffle: order of the channel shuffle, None for another network without a record.
        preprocessing: what the pixels go through; None if not known.
        recorded: whether shuffle and preprocessing are written in the file; else they are what
            all public files of the layout need.
        prefix: before the names of the backbone's tensors, such as ``'backbone.'``.
    """

    layout: str
    backbone: str | None
    variant: dict[str, Any]
    shuffle: str | None
    preprocessing: Preprocessing | None
    recorded: bool
    prefix: str


def describe_checkpoint(source: str) -> Description:
    """Describe a checkpoint without building a model.

    Args:
        source: path, URL, or anything else that mmengine takes as ``checkpoint=``. A public file
            of ``tools/convert_weights.py --list`` is not downloaded.

    Raises:
        CheckpointError: it cannot be read, is no checkpoint, or its record is damaged.
    """
    public = find_public(source)
    if public is not None and public.is_url:
        needs = public.needs
        return Description('ours', **vars(needs), recorded=False, prefix='backbone.')
    checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    return describe(checkpoint, source)


def describe(checkpoint: Mapping[str, Any], name: str) -> Description:
    """Describe a checkpoint that has been read.

    Args:
        checkpoint: content of the file.
        name: of the file, for messages.

    Raises:
        CheckpointError: its record is damaged or is not of its tensors.
    """
    tensors = tensors_of(checkpoint)
    meta = checkpoint.get('meta')
    record = read_record(meta if isinstance(meta, Mapping) else None, name)
    if is_of_authors(tensors):
        layout, prefix, default = 'authors', '', ('transposed', RAW_BGR)
        backbone = _of_authors(tensors)
    else:
        found = backbone_prefix(tensors)
        layout, prefix, default = 'ours', found or '', ('standard', IMAGENET)
        backbone = {} if found is None else backbone_tensors(tensors, found)
    variant = variant_of(backbone)
    if variant is None:
        return _describe_other(tensors, record)
    if record is None:
        return Description(layout, 'ShuffleNetV1', variant, *default, recorded=False, prefix=prefix)
    if record.variant != variant and _has_all_stages(backbone):
        raise CheckpointError(
            f'the record of {name} is not of its tensors: it tells of {record.variant}, their '
            f'shapes of {variant}. Convert the weights again with tools/convert_weights.py.'
        )
    return Description(layout, **vars(record), recorded=True, prefix=prefix)


def _of_authors(tensors: Tensors) -> Tensors:
    return {
        name.removeprefix('backbone.'): tensor
        for name, tensor in renamed(tensors, layers_of_authors())[0].items()
    }


def _has_all_stages(backbone: Tensors) -> bool:
    return any(name.startswith('layers.2.') for name in backbone)


def _describe_other(tensors: Tensors, record: WeightsRecord | None) -> Description:
    prefix = 'backbone.' if any(name.startswith('backbone.') for name in tensors) else ''
    if record is None:
        return Description('other', None, {}, None, None, recorded=False, prefix=prefix)
    return Description('other', **vars(record), recorded=True, prefix=prefix)
