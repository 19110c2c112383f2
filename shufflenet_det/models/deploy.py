"""Networks for prediction only: convolutions with all folded into them that can be."""
import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..common.errors import ConfigError
from .fast import infers_here, is_observed
from .onednn import convolve, convolve_fused, prepare

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
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
    _fold_neighbours(model)
    _replace(model, _is_usual)
    model.requires_grad_(False)
    return model


def _replace(parent: nn.Module, chosen: Callable[[nn.Module], bool]) -> None:
    for name, child in parent.named_children():
        if chosen(child):
            setattr(parent, name, DeployConv2d.of(child))
        elif not isinstance(child, DeployConv2d):
            _replace(child, chosen)


def _folds(layer: ConvModule) -> bool:
    norm = layer.norm if layer.with_norm else None
    return (
        _is_usual(layer.conv)
        and not (layer.with_explicit_padding or layer.with_spectral_norm)
        and layer.order == ('conv', 'norm', 'act')
        and (norm is None or (isinstance(norm, _NORMS) and norm.track_running_stats))
        and not is_observed(*layer.modules())
    )


def _fold_neighbours(model: nn.Module) -> None:
    """Fold a batch norm into the convolution before it, as ResNet of MMDetection has them.

    A convolution that is in several places, each with a norm of its own, stays as it is.
    """
    uses = Counter(id(child) for parent in model.modules() for child in parent.children())
    for parent in list(model.modules()):
        if isinstance(parent, ConvModule) and 'conv norm' not in ' '.join(parent.order):
            continue
        last = None
        for name, child in list(parent.named_children()):
            if (
                last is not None
                and isinstance(child, _NORMS)
                and child.track_running_stats
                and child.num_features == last[1].out_channels
                and not is_observed(last[1], child)
            ):
                setattr(parent, last[0], DeployConv2d(last[1], child))
                setattr(parent, name, nn.Identity())
            last = (name, child) if _is_usual(child) and uses[id(child)] == 1 else None


def _is_usual(conv: nn.Module) -> bool:
    return (
        type(conv) is nn.Conv2d
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not is_observed(conv)
    )


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the running statistics of the batch norm behind it and
    all else of that folded in."""
    scale = torch.rsqrt(norm.running_var + norm.eps)
    mean = norm.running_mean if conv.bias is None else norm.running_mean - conv.bias
    if norm.affine:
        scale = scale * norm.weight
        bias = torch.addcmul(norm.bias, mean, scale, value=-1)
    else:
        bias = -mean * scale
    return conv.weight * scale.view(-1, 1, 1, 1), bias


class DeployConv2d(nn.Module):
    """A convolution with its batch norm folded in, and its activation taken as it is written.

    On CPU in float32 it runs on oneDNN's fused kernels, with the weight in their own order.

    Args:
        conv: the convolution; zero padding.
        norm: the batch norm behind it, whose running statistics are used.
        act: the activation behind that.

    Attributes:
        fused: whether the fused kernels may run.
        packs: whether they get the weight in their own order.
    """

    fused: bool = True
    packs: bool = True

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None, act: nn.Module | None = None
    ) -> None:
        super().__init__()
        weight, bias = conv.weight, conv.bias
        if norm is not None:
            # in double precision, because a variance may be tiny
            weight, bias = fold(copy.deepcopy(conv).double(), copy.deepcopy(norm).double())
        self.weight = _constant(weight, conv.weight.dtype)
        self.bias = None if bias is None else _constant(bias, conv.weight.dtype)
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        self.kernel_size, self.stride, self.padding = conv.kernel_size, conv.stride, conv.padding
        self.dilation, self.groups = conv.dilation, conv.groups
        self.relu = type(act) is nn.ReLU
        self.act = nn.Identity() if act is None or self.relu else act
        self._where = self.stride, self.padding, self.dilation, self.groups
        # by the class of the map's size
        self._prepared: dict[int, tuple] = {}

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

    def forward(self, x: Tensor, relu: bool = False, add: Tensor | None = None) -> Tensor:
        """Convolve (N, C, H, W), add ``add``, then activate; ``relu``: as if ReLU were its own."""
        if self.fused and infers_here(x):
            return self.act(self.run_fused(x, relu, add))
        usual = prepare(self.weight, self.bias, *self._where)
        return self.act(convolve(x, usual, relu or self.relu, add))

    def run_fused(self, x: Tensor, relu: bool = False, add: Tensor | None = None) -> Tensor:
        """As :meth:`forward` but for another activation than ReLU, where :func:`.infers_here`."""
        shape = x.shape
        pixels = shape[2] * shape[3]
        # larger maps share an order with those of nearly their size
        size = pixels if pixels < 128 else 127 + pixels.bit_length()
        prepared = self._prepared.get(size)
        if prepared is None:
            if len(self._prepared) == _MOST_SIZES:
                self._prepared.clear()
            prepared = prepare(self.weight, self.bias, *self._where, shape if self.packs else None)
            self._prepared[size] = prepared
        return convolve_fused(x, prepared, relu or self.relu, add)

    def train(self, mode: bool = True) -> Self:
        """Refuse training mode: there are no statistics left to train."""
        if mode:
            raise ConfigError(
                'this model is in its deploy form and cannot be trained: build it anew.'
            )
        return super().train(mode)

    def _apply(self, fn: Callable, recurse: bool = True) -> Self:
        # moved or converted, its weight is another
        self._prepared = {}
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._prepared = {}
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict:
        return self.__dict__ | dict(_prepared={})

    def extra_repr(self) -> str:
        return f'{self.in_channels}, {self.out_channels}, {self._where}, relu={self.relu}'


def _constant(values: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(values.detach().to(dtype, copy=True), requires_grad=False)
