"""ShuffleNet units for export: the shuffle as an order of channels, which rewrites may change."""
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..models.deploy import DeployConv2d
from ..models.shuffle import channel_shuffle
from ..models.shuffle_unit import ShuffleUnit


class PlainUnit(nn.Module):
    """A :class:`.ShuffleUnit` in deploy form.

    Args:
        unit: whose convolutions it takes over.

    Attributes:
        order: which channel of the depthwise convolution is each of the input of the expanding
            one; None for all as they come.
    """

    def __init__(self, unit: ShuffleUnit) -> None:
        super().__init__()
        self.compress, self.depthwise, self.expand = unit.conv_layers
        self.se, self.act = unit.se, unit.act
        self.avgpool = unit.avgpool if unit.stride == 2 else None
        self._pooled = self.compress.in_channels
        self.order: Tensor | None = None
        if unit.shuffle_groups > 1:
            channels = torch.arange(self.depthwise.out_channels).view(1, -1, 1, 1)
            self.order = channel_shuffle(channels, unit.shuffle_groups).flatten()

    def forward(self, x: Tensor) -> Tensor:
        """As the unit's."""
        out = self.depthwise(self.compress(x))
        if self.order is not None:
            # one Gather; as Reshape, Transpose and Reshape it needs the shapes of the image
            out = out.index_select(1, self.order)
        out = self.se(self.expand(out))
        if self.avgpool is None:
            return self.act(x + out)
        pooled = self.avgpool(x)
        if self.compress.in_channels > self._pooled:
            # without the channels that only fill up the stem
            pooled = pooled[:, : self._pooled]
        return torch.cat((pooled, self.act(out)), dim=1)

    def take_order(self) -> None:
        """Let the compressing convolution write its channels in their order, where it is dense."""
        if self.order is None or self.compress.groups > 1:
            return
        for conv in (self.compress, self.depthwise):
            replace_weights(conv, conv.weight[self.order], _chosen(conv.bias, self.order))
        self.order = None

    def absorb_order(self) -> None:
        """Let the expanding convolution take its channels as they come, where they are shuffled.

        For this it is made dense, with zeros in the place of groups.
        """
        if self.order is None:
            return
        dense = dense_weight(self.expand)
        shape = self.expand.out_channels, self.depthwise.out_channels, 1, 1
        # a channel may be there several times, for what only fills up groups
        weight = dense.new_zeros(shape).index_add_(1, self.order, dense)
        replace_weights(self.expand, weight, self.expand.bias, groups=1)
        self.order = None

    def drop_groups(self) -> None:
        """Make both 1x1 convolutions dense, with zeros in the place of groups."""
        for conv in (self.compress, self.expand):
            replace_weights(conv, dense_weight(conv), conv.bias, groups=1)

    def widen_bottleneck(self, multiple: int) -> None:
        """Fill the groups up with channels of zero, which the order leaves out, until the number of
        channels is a multiple of another."""
        groups, channels = self.compress.groups, self.compress.out_channels
        step = multiple // math.gcd(multiple, groups)
        old = channels // groups
        new = -(-old // step) * step
        if new > old:
            order = torch.arange(channels) if self.order is None else self.order
            self._widen(groups, old, new)
            self.order = order // old * new + order % old

    def widen_groups(self, block: int, most: float) -> None:
        """Fill up the groups of all convolutions with channels of zero to a multiple of a number.

        Args:
            block: the number.
            most: do nothing if there are more than this many times the channels then.
        """
        groups = self.expand.groups
        old = self.expand.in_channels // groups
        new = -(-old // block) * block
        outer = self.compress.in_channels // groups, self.expand.out_channels // groups
        same = self.compress.groups == groups and self.compress.out_channels == old * groups
        if not same or new == old or new > most * old or any(n % block for n in outer):
            return
        order = torch.arange(old * groups) if self.order is None else self.order
        self._widen(groups, old, new)
        order = (order // old * new + order % old).view(groups, old)
        # the first channel of zero, as often as it takes
        filling = order.new_full((groups, new - old), old)
        self.order = torch.cat([order, filling], dim=1).flatten()
        weight = filled(self.expand.weight, 1, new)
        replace_weights(self.expand, weight, self.expand.bias)

    def _widen(self, groups: int, old: int, new: int) -> None:
        for conv in (self.compress, self.depthwise):
            weight = filled(conv.weight.unflatten(0, (groups, old)), 1, new).flatten(0, 1)
            bias = conv.bias
            if bias is not None:
                bias = filled(bias.unflatten(0, (groups, old)), 1, new).flatten()
            replace_weights(conv, weight, bias)


def use_plain_units(network: nn.Module) -> None:
    """Put :class:`PlainUnit` in the place of all units that are in deploy form."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ShuffleUnit) and _is_deployed(child):
                setattr(parent, name, PlainUnit(child))


def _is_deployed(unit: ShuffleUnit) -> bool:
    return all(type(conv) is DeployConv2d for conv in unit.conv_layers)


def plain_units(network: nn.Module) -> Iterator[PlainUnit]:
    """The units of a network, in order."""
    return (module for module in network.modules() if isinstance(module, PlainUnit))


def replace_weights(
    conv: DeployConv2d, weight: Tensor, bias: Tensor | None, groups: int | None = None
) -> None:
    """Give a convolution other channels; a depthwise one stays depthwise.

    Args:
        conv: the convolution.
        weight: (out, in / groups, kh, kw).
        bias: (out,).
        groups: if there are to be others.
    """
    if groups is not None:
        conv.groups = groups
    elif conv.groups == conv.in_channels > 1:
        conv.groups = len(weight)
    conv.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    conv.out_channels, conv.in_channels = len(weight), weight.shape[1] * conv.groups
    conv._where = conv.stride, conv.padding, conv.dilation, conv.groups


def dense_weight(conv: DeployConv2d) -> Tensor:
    """The weight (out, in, kh, kw) of a convolution without groups that does the same."""
    out, width, *kernel = conv.weight.shape
    weight = conv.weight.new_zeros(conv.groups, out // conv.groups, conv.groups, width, *kernel)
    for group, part in enumerate(conv.weight.unflatten(0, (conv.groups, -1))):
        weight[group, :, group] = part
    return weight.reshape(out, conv.groups * width, *kernel)


def filled(values: Tensor, dim: int, size: int) -> Tensor:
    """Values with zeros behind them, up to a size of one dimension."""
    shape = list(values.shape)
    shape[dim] = size - shape[dim]
    return torch.cat([values, values.new_zeros(shape)], dim)


def _chosen(values: Tensor | None, order: Tensor) -> Tensor | None:
    return None if values is None else values[order]
