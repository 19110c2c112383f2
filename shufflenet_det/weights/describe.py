"""What a file of weights is: its layout, its network, and what that needs."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from ..common.errors import shorten
from ..compat.checkpoint import CheckpointError
from .layouts import (
    FOREIGN,
    WRAPPER,
    Tensors,
    backbone_prefix,
    backbone_tensors,
    foreign_layout,
    has_all_stages,
    layers_of,
    renamed,
    stored_tensors,
    tensors_of,
    variant_of,
)
from .preprocessing import IMAGENET, RAW_BGR, Preprocessing
from .public_names import SCHEME, find_public
from .record import WeightsRecord, read_record

# shuffle and pixels of the public files in other layouts; ZCls's are the authors'
_NEEDS = {
    'authors': ('transposed', RAW_BGR),
    'zcls': ('transposed', RAW_BGR),
    'pytorchcv': ('standard', IMAGENET),
}


@dataclass(frozen=True)
class Description:
    """What a checkpoint holds.

    Attributes:
        layout: ``'ours'`` for a ShuffleNet v1 with our names, which are mmpretrain's too; one of
            :data:`.layouts.FOREIGN`, such as ``'authors'`` for the authors' release, which has to
            be converted before a model can load it; ``'other'`` for another network.
        backbone: its ``type`` in a config, None if not known.
        variant: the arguments ``groups``, ``stem_channels`` and ``stage_channels`` of
            ``ShuffleNetV1``, and ``shallow`` and ``with_se`` where they are true; else empty.
        shuffle: order of the channel shuffle, None for another network without a record.
        preprocessing: what the pixels go through; None if not known.
        recorded: whether shuffle and preprocessing are written in the file; else they are what
            all public files of the layout need.
        prefix: before the names of the backbone's tensors, such as ``'backbone.'``, as
            ``init_cfg=dict(type='Pretrained', prefix=...)`` needs it.
        complete: whether all three stages of a ``ShuffleNetV1`` are under ``prefix``: a C4 detector
            has stage 4 in its RoI head, others may end before it. True for another network.
    """

    layout: str
    backbone: str | None
    variant: dict[str, Any]
    shuffle: str | None
    preprocessing: Preprocessing | None
    recorded: bool
    prefix: str
    complete: bool


def describe_checkpoint(source: str) -> Description:
    """Describe a checkpoint without building a model.

    Args:
        source: path, URL, or anything else that mmengine takes as ``checkpoint=``. A public file
            of ``tools/convert_weights.py --list`` is not downloaded.

    Raises:
        CheckpointError: it cannot be read, is no checkpoint, or its record is damaged.
    """
    public = find_public(source)
    if public is not None:
        by_name = source.startswith(SCHEME)
        # loaded by its address, the file is as its publisher made it
        foreign = not by_name and public.collection in FOREIGN
        return Description(
            public.collection if foreign else 'ours',
            **vars(public.needs),
            recorded=by_name,
            prefix='' if foreign else 'backbone.',
            complete=True,
        )
    checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    return describe(checkpoint, source)


def describe(checkpoint: Mapping[str, Any], name: str) -> Description:
    """Describe a checkpoint that has been read.

    Args:
        checkpoint: content of the file.
        name: of the file, for messages.

    Raises:
        CheckpointError: it has no tensors, or its record is damaged or is not of its tensors.
    """
    tensors, stored = tensors_of(checkpoint), stored_tensors(checkpoint)
    if not stored:
        content = checkpoint.get('state_dict', checkpoint)
        raise CheckpointError(
            f'{name} is no checkpoint of a model: there is no tensor in it, or none where a state '
            f'dict has them. The first names in it: {shorten(content) or "none"}.'
        )
    meta = checkpoint.get('meta')
    record = read_record(meta if isinstance(meta, Mapping) else None, name)
    foreign = foreign_layout(tensors)
    if foreign:
        layout, prefix, default = foreign, '', _NEEDS[foreign]
        backbone = _backbone_of(foreign, tensors)
        complete = has_all_stages(backbone, '')
    else:
        found = backbone_prefix(stored)
        layout, prefix, default = 'ours', found or '', ('standard', IMAGENET)
        backbone = {} if found is None else backbone_tensors(tensors, found.removeprefix(WRAPPER))
        complete = has_all_stages(stored, prefix)
    variant = variant_of(backbone)
    if variant is None:
        return _describe_other(stored, record)
    where = dict(prefix=prefix, complete=complete)
    if record is None:
        return Description(layout, 'ShuffleNetV1', variant, *default, recorded=False, **where)
    # of a model with several such networks that differ, the record tells no variant
    if record.variant and record.variant != variant and has_all_stages(backbone, ''):
        raise CheckpointError(
            f'the record of {name} is not of its tensors: it tells of {record.variant}, their '
            f'shapes of {variant}. Convert the weights again with tools/convert_weights.py.'
        )
    needs = vars(record) | dict(variant=record.variant or variant)
    return Description(layout, **needs, recorded=True, **where)


def _backbone_of(layout: str, tensors: Tensors) -> Tensors:
    return {
        name.removeprefix('backbone.'): tensor
        for name, tensor in renamed(tensors, layers_of(layout))[0].items()
    }


def _describe_other(stored: Tensors, record: WeightsRecord | None) -> Description:
    prefixes = ('backbone.', WRAPPER + 'backbone.')
    prefix = next((p for p in prefixes if any(name.startswith(p) for name in stored)), '')
    where = dict(prefix=prefix, complete=True)
    if record is None:
        return Description('other', None, {}, None, None, recorded=False, **where)
    return Description('other', **vars(record), recorded=True, **where)
