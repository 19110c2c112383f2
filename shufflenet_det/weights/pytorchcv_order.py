"""pytorchcv's network as ours: the same function, with its channels in another order.

Two things are otherwise there (``pytorchcv/models/shufflenet.py``, 0.0.74). The shuffle stands
before the depthwise convolution; it commutes with it, if the filters are shuffled, too. And a unit
of stride 2 puts the pooled input behind its branch. Where all channels are counted from the other
end, it stands before the branch, as here: that reversal keeps the groups together and commutes
with the shuffle, so everything else stays what it was.
"""
import torch
from torch import Tensor

from .layouts import Tensors

_DEPTHWISE = '.depthwise_conv3x3_bn.'


def from_pytorchcv(tensors: Tensors, groups: int) -> Tensors:
    """Tensors of pytorchcv under our names, for our network.

    Args:
        tensors: by our names in a classifier, as pytorchcv's network has them.
        groups: groups of the pointwise convolutions.

    Returns:
        The same tensors with their channels in the order of ours.
    """
    return {
        name: _reversed(name, _shuffled(tensor, groups) if _DEPTHWISE in name else tensor)
        for name, tensor in tensors.items()
    }


def to_pytorchcv(tensors: Tensors, groups: int) -> Tensors:
    """The inverse of :func:`from_pytorchcv`, bit by bit."""
    return {
        name: _shuffled(back, groups, undo=True) if _DEPTHWISE in name else back
        for name, back in ((n, _reversed(n, t)) for n, t in tensors.items())
    }


def _shuffled(tensor: Tensor, groups: int, undo: bool = False) -> Tensor:
    """Filters or statistics (C, ...): entry i * n + j from j * groups + i, of n = C / groups."""
    if tensor.dim() == 0:
        # num_batches_tracked is one number
        return tensor
    channels = tensor.shape[0]
    rows = groups if undo else channels // groups
    return tensor[torch.arange(channels).view(rows, -1).T.reshape(-1)]


def _reversed(name: str, tensor: Tensor) -> Tensor:
    """Every axis of channels from the other end, but for the image's colours and the classes."""
    if name.startswith('head.'):
        axes = [1] if tensor.dim() == 2 else []
    elif name == 'backbone.conv1.conv.weight':
        axes = [0]
    else:
        # the inputs of a group convolution are counted inside of their group
        axes = {0: [], 1: [0]}.get(tensor.dim(), [0, 1])
    return tensor.flip(axes) if axes else tensor
