"""The layers of a stack of networks (:mod:`.stacked`): features are (M, N, H, W, C)."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..common.errors import ConfigError

Tensors = dict[str, Tensor]
BN_MOMENTUM, BN_EPS = 0.1, 1e-5


@dataclass
class Context:
    """What a forward pass reads and leaves behind.

    Attributes:
        params: float32 weights by name, each (M, ...).
        stats: running means and variances of the batch norms by name, each (M, C).
        training: whether batch norms use the batch's statistics.
        dtype: of features and products; batch norms compute in float32.
        new_stats: running statistics after this pass, where it trains.
    """

    params: Tensors
    stats: Tensors
    training: bool
    dtype: torch.dtype
    new_stats: Tensors = field(default_factory=dict)


Layer = Callable[[Context, Tensor], Tensor]


def wide(x: Tensor) -> Tensor:
    """As float32, or as float64 where it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _windows(x: Tensor, stride: int, fill: float = 0.0) -> list[Tensor]:
    """The nine shifted maps of a 3x3 window with padding 1, each (M, N, Ho, Wo, C)."""
    height, width = (x.shape[2] - 1) // stride + 1, (x.shape[3] - 1) // stride + 1
    padded = F.pad(x, (0, 0, 1, 1, 1, 1), value=fill)
    ends = (stride * (height - 1) + 1, stride * (width - 1) + 1)
    return [
        padded[:, :, dy : dy + ends[0] : stride, dx : dx + ends[1] : stride]
        for dy in range(3)
        for dx in range(3)
    ]


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """(M, N, H, W, Cin) times (M, Cin, Cout), pixel by pixel."""
    rows = x.reshape(x.shape[0], -1, x.shape[-1])
    return torch.bmm(rows, weight).view(*x.shape[:-1], weight.shape[-1])


def max_pool(context: Context, x: Tensor) -> Tensor:
    windows = _windows(x, 2, fill=-torch.inf)
    result = windows[0]
    for window in windows[1:]:
        result = torch.maximum(result, window)
    return result


def average_pool(x: Tensor) -> Tensor:
    total = sum(map(wide, _windows(x, 2)))
    return (total / 9).to(x.dtype)


class Conv:
    """A convolution without bias: pointwise, depthwise 3x3, or 3x3; dense or grouped.

    Args:
        name: of its weight in the state dict.
        conv: the layer.
        orders: for each model: input channel k of the layer is channel ``order[k]`` of what it is
            given, which is how a shuffle in front of it is folded in.
    """

    def __init__(self, name: str, conv: nn.Conv2d, orders: Sequence[Tensor] | None = None) -> None:
        self.name = name
        self.stride, self.groups = conv.stride[0], conv.groups
        self.outputs, self.inputs = conv.out_channels, conv.in_channels
        self.size = conv.kernel_size[0]
        self.depthwise = conv.groups == conv.in_channels == conv.out_channels
        self.orders = orders
        if conv.bias is not None or (self.size, conv.padding[0]) not in ((1, 0), (3, 1)):
            raise ConfigError(f'{name}: a stack has no layer for {conv}.')

    def pack(self, weight: Tensor, model: int) -> Tensor:
        """A layer's weight (O, I / groups, k, k) in the stack's form, without the dimension M."""
        if self.depthwise:
            return weight.reshape(self.outputs, 9).T
        dense = weight.new_zeros(self.outputs, self.inputs, self.size, self.size)
        for rows, columns in self._blocks():
            dense[rows, columns] = weight[rows]
        if self.orders is not None:
            ordered = torch.zeros_like(dense)
            ordered[:, self.orders[model]] = dense
            dense = ordered
        # (ky, kx, I, O): the order of the concatenated windows
        return dense.permute(2, 3, 1, 0).reshape(-1, self.outputs)

    def unpack(self, packed: Tensor, model: int) -> Tensor:
        """What :meth:`pack` was given."""
        if self.depthwise:
            return packed.T.reshape(self.outputs, 1, 3, 3)
        shape = self.size, self.size, self.inputs, self.outputs
        dense = packed.reshape(shape).permute(3, 2, 0, 1)
        if self.orders is not None:
            dense = dense[:, self.orders[model]]
        blocks = [dense[rows, columns] for rows, columns in self._blocks()]
        return torch.cat(blocks).contiguous()

    def _blocks(self) -> list[tuple[slice, slice]]:
        outputs, inputs = self.outputs // self.groups, self.inputs // self.groups
        return [
            (slice(g * outputs, (g + 1) * outputs), slice(g * inputs, (g + 1) * inputs))
            for g in range(self.groups)
        ]

    def __call__(self, context: Context, x: Tensor) -> Tensor:
        weight = context.params[self.name].to(context.dtype)
        if self.size == 1:
            return _product(x[:, :, :: self.stride, :: self.stride], weight)
        windows = _windows(x, self.stride)
        if not self.depthwise:
            return _product(torch.cat(windows, dim=-1), weight)
        taps = weight[:, :, None, None, None, :].unbind(1)
        total = sum(wide(w) * wide(t) for w, t in zip(windows, taps, strict=True))
        return total.to(x.dtype)


class BatchNorm:
    """Batch norm of each model on its own images."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, context: Context, x: Tensor) -> Tensor:
        mean_name, var_name = f'{self.name}.running_mean', f'{self.name}.running_var'
        values = wide(x)
        if context.training:
            var, mean = torch.var_mean(values, dim=(1, 2, 3), correction=0)
            count = x[0, ..., 0].numel()
            unbiased = var.detach() * (count / (count - 1))
            for name, new in ((mean_name, mean.detach()), (var_name, unbiased)):
                context.new_stats[name] = torch.lerp(context.stats[name], new, BN_MOMENTUM)
        else:
            mean, var = context.stats[mean_name], context.stats[var_name]
        scale = torch.rsqrt(var + BN_EPS) * context.params[f'{self.name}.weight']
        shift = context.params[f'{self.name}.bias'] - mean * scale
        return (values * _per_model(scale) + _per_model(shift)).to(x.dtype)


def _per_model(values: Tensor) -> Tensor:
    return values[:, None, None, None, :]
