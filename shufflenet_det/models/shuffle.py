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
        return shuffle_pixels(x, groups, native=_can_be_native(x))
    x = x.view(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).reshape(batch, channels, height, width)


def shuffle_pixels(x: Tensor, groups: int, native: bool = True) -> Tensor:
    """As :func:`channel_shuffle`, for channels that are last in memory.

    Args:
        x: (N, C, H, W).
        groups: number of groups.
        native: whether torch's own kernel may be used, which is up to four times as fast. It is for
            CPU, and has no gradient.
    """
    if native:
        return torch.native_channel_shuffle(x, groups)
    pixels = x.permute(0, 2, 3, 1)
    shape = pixels.shape[:3]
    pixels = pixels.reshape(*shape, groups, -1).transpose(3, 4)
    return pixels.reshape(*shape, x.shape[1]).permute(0, 3, 1, 2)


def _can_be_native(x: Tensor) -> bool:
    return (
        x.device.type == 'cpu'
        and x.dtype in (torch.float32, torch.float64)
        and not (torch.is_grad_enabled() and x.requires_grad)
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )


def shuffle_groups(shuffle: str, groups: int, channels: int) -> int:
    """The ``groups`` of :func:`channel_shuffle` for an order of the shuffle; 1 changes nothing.

    Args:
        shuffle: ``'standard'``, ``'transposed'`` or ``'none'``.
        groups: groups of the pointwise convolutions.
        channels: channels to be shuffled.
    """
    return {'standard': groups, 'transposed': channels // groups, 'none': 1}[shuffle]
