"""Networks for prediction only: convolutions with all folded into them that can be."""
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.utils import fuse_conv_bn
from torch import Tensor, nn
from torch.nn import functional as F

from ..common.errors import ConfigError
from .fast import every_module_is_observed, is_observed
from .onednn import convolve_fused, fuses, pack, size_class

# weights are kept in the order for as many sizes of maps, each convolution's own
_MOST_SIZES = 16


def switch_to_deploy(model: nn.Module) -> nn.Module:
    """Fold batch norms into convolutions, and what follows into their kernels, everywhere inside.

    The results are the same up to rounding. Afterwards the model cannot be trained, and its state
    dict is another: load the checkpoint first. Convolutions that cannot be folded (deformable ones,
    those with group norm) stay as they are. Calling it again changes nothing.

    Args:
        model: a backbone, a detector or any other model, changed in place and put into evaluation
            mode.

    Returns:
        The model.
    """
    model.eval()
    _replace(model, lambda child: isinstance(child, ConvModule) and _folds(child))
    # a convolution and a batch norm one after the other, as ResNet of MMDetection has them
    fuse_conv_bn(model)
    _replace(model, _is_left)
    model.requires_grad_(False)
    return model


def _replace(parent: nn.Module, chosen: Callable[[nn.Module], bool]) -> None:
    for name, child in parent.named_children():
        if chosen(child):
            setattr(parent, name, DeployConv2d.of(child))
        elif not isinstance(child, DeployConv2d):
            _replace(child, chosen)


def _folds(layer: ConvModule) -> bool:
    conv, norm = layer.conv, layer.norm if layer.with_norm else None
    return (
        isinstance(conv, nn.Conv2d)
        and type(conv).forward is nn.Conv2d.forward
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not layer.with_explicit_padding
        and not layer.with_spectral_norm
        and layer.order == ('conv', 'norm', 'act')
        and (norm is None or (isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats))
        and not any(map(is_observed, layer.modules()))
    )


def _is_left(conv: nn.Module) -> bool:
    return (
        type(conv) is nn.Conv2d
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not is_observed(conv)
    )


def runs_fused(x: Tensor) -> bool:
    """Whether convolutions of ``x`` in their deploy form run on oneDNN's fused kernels now."""
    return (
        not (torch.is_grad_enabled() and x.requires_grad)
        and fuses(x)
        and x.numel() > 0
        and not torch.is_autocast_enabled('cpu')
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
        and not every_module_is_observed()
    )


class DeployConv2d(nn.Module):
    """A convolution with its batch norm folded in, and its activation taken as it is written.

    On CPU in float32 it runs on oneDNN's fused kernels, with the weight in their own order.

    Args:
        conv: the convolution; zero padding.
        norm: the batch norm behind it, whose running statistics are used.
        act: the activation behind that.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None, act: nn.Module | None = None
    ) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        self.kernel_size, self.stride, self.padding = conv.kernel_size, conv.stride, conv.padding
        self.dilation, self.groups = conv.dilation, conv.groups
        self.relu = type(act) is nn.ReLU
        self.act = nn.Identity() if act is None or self.relu else act
        self._where = self.stride, self.padding, self.dilation, self.groups
        # by the class of the map's size
        self._packed: dict[int, Tensor] = {}

    @classmethod
    def of(cls, layer: ConvModule | nn.Conv2d) -> Self:
        """Of a convolution, or of mmcv's ``ConvModule``."""
        if isinstance(layer, nn.Conv2d):
            return cls(layer)
        return cls(
            layer.conv,
            layer.norm if layer.with_norm else None,
            layer.activate if layer.with_activation else None,
        )

    def forward(self, x: Tensor, add: Tensor | None = None, relu: bool = False) -> Tensor:
        """Convolve (N, C, H, W), add ``add``, then activate; ``relu``: as if ReLU were its own."""
        if runs_fused(x):
            return self.act(self.run_fused(x, add, relu))
        x = F.conv2d(x, self.weight, self.bias, *self._where)
        x = x if add is None else x + add
        return self.act(F.relu(x) if relu or self.relu else x)

    def run_fused(self, x: Tensor, add: Tensor | None = None, relu: bool = False) -> Tensor:
        """As :meth:`forward` up to another activation than ReLU, where :func:`runs_fused`."""
        weight = self.packed(x.shape)
        return convolve_fused(x, weight, self.bias, *self._where, relu or self.relu, add)

    def packed(self, shape: Sequence[int]) -> Tensor:
        """The weight in the order that the kernel reads for maps of ``shape`` (N, C, H, W)."""
        size = size_class(shape)
        weight = self._packed.get(size)
        if weight is None:
            if len(self._packed) == _MOST_SIZES:
                self._packed.clear()
            weight = self._packed[size] = pack(self.weight, *self._where, shape)
        return weight

    def train(self, mode: bool = True) -> Self:
        """Refuse training mode: there are no statistics left to train."""
        if mode:
            raise ConfigError(
                'this model is in its deploy form and cannot be trained: build it anew.'
            )
        return super().train(mode)

    def _apply(self, fn: Callable, recurse: bool = True) -> Self:
        # moved or converted, its weight is another
        self._packed = {}
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._packed = {}
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict:
        return self.__dict__ | dict(_packed={})

    def extra_repr(self) -> str:
        return (
            f'{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, '
            f'stride={self.stride}, groups={self.groups}, relu={self.relu}'
        )


@torch.no_grad()
def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor | None]:
    weight, bias = conv.weight.clone(), None if conv.bias is None else conv.bias.clone()
    if norm is None:
        return weight, bias
    # in double precision, because a variance may be tiny
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean
    if norm.affine:
        scale = scale * norm.weight
    shift = shift * scale
    if norm.affine:
        shift = shift + norm.bias
    folded = weight.double() * scale.view(-1, 1, 1, 1)
    return folded.to(weight.dtype), shift.to(weight.dtype)
