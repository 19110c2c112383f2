"""How files of ShuffleNet v1 name their tensors, and which network the shapes tell of."""
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..models.widths import BOTTLENECK_RATIO, SHALLOW_STAGE_BLOCKS, STAGE_BLOCKS

Tensors = dict[str, Tensor]

WRAPPER = 'module.'
"""What ``DataParallel`` puts before the names, and mmengine takes away if no prefix is asked."""
_FIRST = 'conv1.conv.weight'
_SHARED_STAGE = 'roi_head.shared_head.'
# the names of two layers, by which the files of other code are told
_TOLD_BY = {
    'authors': ('first_conv.0.weight', 'features.0.branch_main_1.0.weight'),
    'pytorchcv': ('features.init_block.conv.weight', 'features.stage1.unit1.dw_conv2.weight'),
    'zcls': ('backbone.stem.0.weight', 'backbone.stage1.0.conv2.weight'),
}
FOREIGN = tuple(_TOLD_BY)
"""Layouts whose files have other names than ours, which are mmpretrain's, too."""
_OURS = ('g_conv_1x1_compress', 'depthwise_conv3x3_bn', 'g_conv_1x1_expand')
# convolution and batch norm of the three layers of a unit
_UNITS = {
    'authors': (
        ('branch_main_1.0', 'branch_main_1.1'),
        ('branch_main_1.3', 'branch_main_1.4'),
        ('branch_main_2.0', 'branch_main_2.1'),
    ),
    'pytorchcv': (
        ('compress_conv1', 'compress_bn1'),
        ('dw_conv2', 'dw_bn2'),
        ('expand_conv3', 'expand_bn3'),
    ),
    'zcls': (('conv1', 'norm1'), ('conv2', 'norm2'), ('conv3', 'norm3')),
}
# the stem's convolution and batch norm, and the classifier
_OUTSIDE_UNITS = {
    'authors': ('first_conv.0', 'first_conv.1', 'classifier.0'),
    'pytorchcv': ('features.init_block.conv', 'features.init_block.bn', 'output'),
    'zcls': ('backbone.stem.0', 'backbone.stem.1', 'head.fc'),
}


def layers_of(layout: str) -> dict[str, str]:
    """The name of each layer with tensors in a foreign layout, and ours in a classifier."""
    names = dict(
        zip(
            _OUTSIDE_UNITS[layout],
            ('backbone.conv1.conv', 'backbone.conv1.bn', 'head.fc'),
            strict=True,
        )
    )
    places = [(s, b) for s, blocks in enumerate(STAGE_BLOCKS) for b in range(blocks)]
    for index, (stage, block) in enumerate(places):
        unit = {
            'authors': f'features.{index}',
            'pytorchcv': f'features.stage{stage + 1}.unit{block + 1}',
            'zcls': f'backbone.stage{stage + 1}.{block}',
        }[layout]
        for (conv, norm), ours in zip(_UNITS[layout], _OURS, strict=True):
            names[f'{unit}.{conv}'] = f'backbone.layers.{stage}.{block}.{ours}.conv'
            names[f'{unit}.{norm}'] = f'backbone.layers.{stage}.{block}.{ours}.bn'
    return names


def renamed(tensors: Mapping[str, Tensor], layers: Mapping[str, str]) -> tuple[Tensors, list[str]]:
    """Tensors under the new names of their layers, and the names that no layer has."""
    found, unknown = {}, []
    for name, tensor in tensors.items():
        layer, _, parameter = name.rpartition('.')
        if layer in layers:
            found[f'{layers[layer]}.{parameter}'] = tensor
        else:
            unknown.append(name)
    return found, unknown


def stored_tensors(checkpoint: Mapping[str, Any]) -> Tensors:
    """The tensors of a checkpoint under the names that stand in it."""
    content = checkpoint.get('state_dict', checkpoint)
    # ZCls's own files
    inner = content.get('model')
    if isinstance(inner, Mapping) and foreign_layout(inner) == 'zcls':
        content = inner
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def tensors_of(checkpoint: Mapping[str, Any]) -> Tensors:
    """The tensors of a checkpoint, without the prefix that ``DataParallel`` gives them."""
    return {n.removeprefix(WRAPPER): t for n, t in stored_tensors(checkpoint).items()}


def foreign_layout(names: Iterable[str]) -> str | None:
    """Which of :data:`FOREIGN` the names of the tensors are those of, None if of none."""
    names = {name.removeprefix(WRAPPER) for name in names if isinstance(name, str)}
    return next((layout for layout, told in _TOLD_BY.items() if names.issuperset(told)), None)


def backbone_prefix(names: Iterable[str]) -> str | None:
    """What stands before the names of a ShuffleNet v1 of ours or mmpretrain's, None if none is."""
    names = set(names)
    prefixes = [
        name.removesuffix(_FIRST)
        for name in names
        if name.endswith(_FIRST)
        and name.removesuffix(_FIRST) + 'layers.0.0.g_conv_1x1_compress.conv.weight' in names
    ]
    return min(prefixes, key=lambda prefix: (len(prefix), prefix), default=None)


def has_all_stages(names: Iterable[str], prefix: str) -> bool:
    """Whether the three stages of a ShuffleNet v1 are all under the prefix."""
    names = tuple(names)
    stages = (f'{prefix}layers.{stage}.' for stage in range(len(STAGE_BLOCKS)))
    return all(any(name.startswith(stage) for name in names) for stage in stages)


def backbone_tensors(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """The backbone's tensors without the prefix, stage 4 from the RoI head of a C4 detector."""
    found = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith((prefix + 'conv1.', prefix + 'layers.'))
    }
    if not any(name.startswith('layers.2.') for name in found):
        for name, tensor in tensors.items():
            if name.startswith(_SHARED_STAGE):
                found['layers.2.' + name.removeprefix(_SHARED_STAGE)] = tensor
    return found


def variant_of(backbone: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The arguments of ``ShuffleNetV1`` that the shapes tell, None where they tell of no such net.

    Stages that the file lacks, because a detector did not build them, are taken to double the
    width as in the paper.

    Args:
        backbone: tensors by name, as in ``ShuffleNetV1``.
    """
    backbone = {name: t for name, t in backbone.items() if t.dim() == 4 or '.conv.' not in name}
    stages, blocks = [], []
    for stage in range(3):
        second = backbone.get(f'layers.{stage}.1.g_conv_1x1_expand.conv.weight')
        if second is None:
            break
        stages.append(second.shape[0])
        blocks.append(len({n.split('.')[2] for n in backbone if n.startswith(f'layers.{stage}.')}))
    if not stages or _FIRST not in backbone:
        return None
    per_group = backbone['layers.0.1.g_conv_1x1_expand.conv.weight'].shape[1]
    shallow = tuple(blocks) == SHALLOW_STAGE_BLOCKS[: len(blocks)]
    if not per_group or not (shallow or tuple(blocks) == STAGE_BLOCKS[: len(blocks)]):
        return None
    while len(stages) < len(STAGE_BLOCKS):
        stages.append(2 * stages[-1])
    variant = dict(
        groups=stages[0] // BOTTLENECK_RATIO // per_group,
        stem_channels=backbone[_FIRST].shape[0],
        stage_channels=tuple(stages),
    )
    if shallow:
        variant['shallow'] = True
    if any('.se.' in name for name in backbone):
        variant['with_se'] = True
    return variant
