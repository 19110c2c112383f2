"""The ShuffleNet unit: pointwise group convolution, channel shuffle, depthwise convolution."""
from collections.abc import Callable, Iterable, Sequence

import torch
from mmcv.cnn import ConvModule, build_activation_layer
from mmdet.models.layers import SELayer
from torch import Tensor, nn

from ..common.errors import ConfigError
from .deploy import DeployConv2d, runs_fused
from .fast import (
    evaluates_as_function,
    is_observed,
    run_deployed,
    run_evaluated,
    train_units,
    trains_as_function,
    trains_here,
)
from .shuffle import SHUFFLES, channel_shuffle, shuffle_groups
from .unit import Unit, layer_settings
from .widths import BOTTLENECK_RATIO, SE_RATIO

UnitsFunction = Callable[[Sequence['ShuffleUnit'], Tensor], Tensor]


def run_units(modules: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Modules one after another; ShuffleNet units as one function where that can be.

    Args:
        modules: units and others, each called with the result of the one before.
        x: (N, C, H, W).
    """
    trains, infers = trains_here(x), runs_fused(x)
    pending: list[ShuffleUnit] = []
    function = None
    for module in modules:
        own = module.function(trains, infers) if _joins(module) else None
        if pending and own is not function:
            x, pending = function(pending, x), []
        if own is None:
            x = module(x)
        else:
            pending.append(module)
        function = own
    return function(pending, x) if pending else x


def _joins(module: nn.Module) -> bool:
    """Whether a module can be run in one function with those before and after it."""
    return (
        isinstance(module, ShuffleUnit)
        and not is_observed(module)
        and not (module.with_cp and torch.is_grad_enabled())
    )


class ShuffleUnit(Unit):
    """One unit of ShuffleNet v1 (paper, section 3.2 and Figure 2 b, c).

    The shuffle stands after the depthwise convolution, as in the public weights of mmpretrain and
    of the authors; it commutes with a depthwise convolution, so this is the paper's unit with the
    depthwise filters in another order.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; equal to ``in_channels`` at stride 1.
        groups: groups of the pointwise convolutions.
        stride: 1 adds the input; 2 halves the resolution and concatenates the pooled input.
        first_groups: groups of the first pointwise convolution, 1 in the first unit of stage 2,
            whose input is too narrow to group. Defaults to ``groups``.
        shuffle: ``'standard'`` (the paper's order), ``'transposed'`` (that of the authors'
            released weights) or ``'none'`` (Table 3).
        with_se: squeeze-and-excitation on the residual branch (Table 5).
        conv_cfg, norm_cfg, act_cfg: layers, as everywhere in MMDetection.
        with_cp: recompute the unit in the backward pass to save memory.

    Attributes:
        fast: whether training and evaluation on CPU run as one function (:mod:`.fast`), which
            gives the same results, but no gradients of gradients.
    """

    fast: bool = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int = 3,
        stride: int = 1,
        first_groups: int | None = None,
        shuffle: str = 'standard',
        with_se: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__(with_cp)
        if stride not in (1, 2):
            raise ConfigError(f'stride of a ShuffleUnit must be 1 or 2, not {stride!r}.')
        if stride == 1 and in_channels != out_channels:
            raise ConfigError(
                f'a ShuffleUnit with stride 1 adds its input: in_channels ({in_channels}) and '
                f'out_channels ({out_channels}) must be equal.'
            )
        if shuffle not in SHUFFLES:
            raise ConfigError(f'shuffle must be one of {SHUFFLES}, not {shuffle!r}.')
        self.stride = stride
        bottleneck = out_channels // BOTTLENECK_RATIO
        expanded = out_channels if stride == 1 else out_channels - in_channels
        self.shuffle = shuffle
        self.shuffle_groups = shuffle_groups(shuffle, groups, bottleneck)
        layers = layer_settings(conv_cfg, norm_cfg, act_cfg)
        act_cfg = layers.pop('act_cfg')

        self.g_conv_1x1_compress = ConvModule(
            in_channels,
            bottleneck,
            1,
            groups=groups if first_groups is None else first_groups,
            act_cfg=act_cfg,
            **layers,
        )
        self.depthwise_conv3x3_bn = ConvModule(
            bottleneck,
            bottleneck,
            3,
            stride=stride,
            padding=1,
            groups=bottleneck,
            act_cfg=None,
            **layers,
        )
        self.g_conv_1x1_expand = ConvModule(
            bottleneck, expanded, 1, groups=groups, act_cfg=None, **layers
        )
        # a very narrow unit still squeezes to one channel
        ratio = min(SE_RATIO, expanded)
        self.se = SELayer(expanded, ratio=ratio) if with_se else nn.Identity()
        if stride == 2:
            self.avgpool = nn.AvgPool2d(3, stride=2, padding=1)
        self.act = build_activation_layer(act_cfg)

    def _forward(self, x: Tensor) -> Tensor:
        function = self.function(trains_here(x), runs_fused(x))
        if function is not None:
            return function([self], x)
        out = self.depthwise_conv3x3_bn(self.g_conv_1x1_compress(x))
        if self.shuffle_groups > 1:
            out = channel_shuffle(out, self.shuffle_groups)
        out = self.se(self.g_conv_1x1_expand(out))
        if self.stride == 2:
            return torch.cat((self.avgpool(x), self.act(out)), dim=1)
        return self.act(x + out)

    @property
    def conv_layers(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        """The three convolutions with their batch norms, in their order."""
        # Module.__getattr__ takes long where a whole unit takes a tenth of a millisecond
        own = self._modules
        return own['g_conv_1x1_compress'], own['depthwise_conv3x3_bn'], own['g_conv_1x1_expand']

    def function(self, trains: bool, infers: bool) -> UnitsFunction | None:
        """The function that runs units like this one, one after another, or none.

        Args:
            trains: what :func:`.fast.trains_here` says of the input.
            infers: what :func:`.deploy.runs_fused` says of it.
        """
        if trains and trains_as_function(self):
            return train_units
        if infers and self._is_deployed():
            return run_deployed
        if infers and not torch.is_grad_enabled() and evaluates_as_function(self):
            return run_evaluated
        return None

    def _is_deployed(self) -> bool:
        """Whether the convolutions are in their deploy form and the last can do what follows."""
        layers, own = self.conv_layers, self._modules
        return (
            all(type(layer) is DeployConv2d for layer in layers)
            and type(layers[0]._modules['act']) is nn.Identity
            and isinstance(own['se'], nn.Identity)
            and type(own['act']) is nn.ReLU
            and not any(map(is_observed, layers))
        )
