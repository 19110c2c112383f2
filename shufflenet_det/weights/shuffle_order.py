"""The same network with another order of the channel shuffle: its channels rearranged.

Inside a group, the outputs of a unit's first pointwise convolution (with batch norm, depthwise
convolution and its batch norm) may change places, and so may the inputs of its second. What an
order fixes is how many channels go from each group to each other group. Where two orders agree in
these numbers, weights of the one become weights of the other by a permutation, and the output
stays the same but for the order of the sums.
"""
from collections import defaultdict

import torch

from ..compat.checkpoint import CheckpointError
from ..models.shuffle_unit import channel_shuffle, shuffle_groups
from .layouts import Tensors

_Paths = dict[tuple[int, int], list[tuple[int, int]]]


def reordered(backbone: Tensors, groups: int, before: str, after: str) -> Tensors:
    """Weights for another order of the shuffle.

    Args:
        backbone: tensors by name, as in ``ShuffleNetV1``.
        groups: groups of the pointwise convolutions.
        before: order that the weights were trained with.
        after: order that they are to run with.

    Returns:
        The tensors, those of the units permuted.

    Raises:
        CheckpointError: in some unit the orders send other numbers of channels from group to group.
    """
    result = dict(backbone)
    if before == after:
        return result
    compress = '.g_conv_1x1_compress.conv.weight'
    units = [name.removesuffix(compress) for name in backbone if name.endswith(compress)]
    for unit in units:
        channels = backbone[unit + compress].shape[0]
        old, new = (_paths(shuffle, groups, channels) for shuffle in (before, after))
        if {pair: len(p) for pair, p in old.items()} != {pair: len(p) for pair, p in new.items()}:
            raise CheckpointError(
                f'weights of shuffle={before!r} cannot be rearranged for shuffle={after!r}: in '
                f'{unit}, with {channels} channels in {groups} groups, the two send other numbers '
                f'of channels from group to group. Run them with shuffle={before!r}.'
            )
        outputs, inputs = (torch.empty(channels, dtype=torch.long) for _ in range(2))
        for pair, there in new.items():
            for (output, input_), (old_output, old_input) in zip(there, old[pair], strict=True):
                outputs[output], inputs[input_] = old_output, old_input
        for name in backbone:
            if name.startswith((f'{unit}.g_conv_1x1_compress.', f'{unit}.depthwise_conv3x3_bn.')):
                result[name] = _take(backbone[name], outputs)
        name = f'{unit}.g_conv_1x1_expand.conv.weight'
        result[name] = _take_inputs(backbone[name], inputs, groups)
    return result


def _paths(shuffle: str, groups: int, channels: int) -> _Paths:
    """Each channel's place before and behind the shuffle, by its group before and behind."""
    places = torch.arange(channels).view(1, channels, 1, 1)
    before = channel_shuffle(places, shuffle_groups(shuffle, groups, channels)).flatten().tolist()
    paths = defaultdict(list)
    for behind, place in enumerate(before):
        pair = (place * groups // channels, behind * groups // channels)
        paths[pair].append((place, behind))
    return dict(paths)


def _take(tensor: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    # num_batches_tracked is one number
    return tensor[places] if tensor.dim() else tensor


def _take_inputs(weight: torch.Tensor, places: torch.Tensor, groups: int) -> torch.Tensor:
    """Input channels of a group convolution [out, in / groups, 1, 1] from other places."""
    in_group = places.view(groups, -1) % weight.shape[1]
    parts = weight.chunk(groups)
    return torch.cat([part[:, row] for part, row in zip(parts, in_group, strict=True)])
