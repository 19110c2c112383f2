"""The channel shuffle."""
import numpy as np
import torch
from torch import Tensor

SHUFFLES = ('standard', 'transposed', 'none')


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of ``groups`` groups (paper, section 3.1 and Figure 1).

    Channel ``i * n + j`` of ``n`` channels a group moves to ``j * groups + i``. Shuffling the
    result with ``groups=n`` undoes it, which is also the transposed order.

    Args:
        x: features of shape (N, C, H, W), C a multiple of ``groups``.
        groups: number of groups.

    Returns:
        A copy, with its channels last in memory if those of ``x`` are.
    """
    batch, channels, height, width = x.shape
    if torch.onnx.is_in_onnx_export():
        # one Gather; as Reshape, Transpose and Reshape it needs the shapes of the image
        order = np.arange(int(channels)).reshape(groups, -1).T.ravel()
        return x.index_select(1, torch.from_numpy(order.copy()))
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        pixels = x.permute(0, 2, 3, 1).view(batch, height, width, groups, channels // groups)
        pixels = pixels.transpose(3, 4).reshape(batch, height, width, channels)
        return pixels.permute(0, 3, 1, 2)
    x = x.view(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).reshape(batch, channels, height, width)


def shuffle_groups(shuffle: str, groups: int, channels: int) -> int:
    """The ``groups`` of :func:`channel_shuffle` for an order of the shuffle; 1 changes nothing.

    Args:
        shuffle: ``'standard'``, ``'transposed'`` or ``'none'``.
        groups: groups of the pointwise convolutions.
        channels: channels to be shuffled.
    """
    return {'standard': groups, 'transposed': channels // groups, 'none': 1}[shuffle]
