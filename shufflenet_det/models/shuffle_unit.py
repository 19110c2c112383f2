"""The ShuffleNet unit: pointwise group convolution, channel shuffle, depthwise convolution."""
from collections.abc import Callable
from functools import partial

import torch
from mmcv.cnn import ConvModule, build_activation_layer
from mmdet.models.layers import SELayer
from torch import Tensor, nn

from ..common.errors import ConfigError
from .deploy import DeployConv2d, fold
from .fast import (
    Norm,
    Parameters,
    infers_here,
    is_observed,
    is_plain,
    train_unit,
    trains_here,
)
from .fast import Unit as FastUnit
from .onednn import convolve, convolve_fused, prepare
from .shuffle import SHUFFLES, channel_shuffle, shuffle_groups, shuffle_pixels
from .unit import Unit, layer_settings
from .widths import BOTTLENECK_RATIO, SE_RATIO

FoldedConvolution = Callable[..., Tensor]
"""``(x, relu=False, add=None)`` to the convolution of ``x`` plus ``add``, or the positive part."""


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
        fast: whether its layers on CPU may run as one function (:mod:`.fast`) or with norms folded
            into convolutions, which gives the same results, but no gradients of gradients.
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
        trains = trains_here(x)
        if trains and self.trains_as_function():
            return train_unit(self.as_tensors(), x)
        convolutions = self._folded_convolutions(trains, infers_here(x))
        if convolutions:
            return self._run_folded(x, *convolutions)
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

    def trains_as_function(self) -> bool:
        """Whether :meth:`as_tensors` tells all of a training step."""
        return self.training and self._is_plain() and all(
            layer.norm.training for layer in self.conv_layers
        )

    def as_tensors(self) -> FastUnit:
        """All that a training step needs, for :func:`.fast.train_unit`."""
        parameters: list[Tensor] = []
        norms = []
        for layer in self.conv_layers:
            norm = layer.norm
            parameters += layer.conv.weight, norm.weight, norm.bias
            norms.append(
                Norm(
                    norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum,
                    norm.eps,
                )
            )  # fmt: skip
        return FastUnit(Parameters(*parameters), tuple(norms), self.stride, self.shuffle_groups)

    def _is_plain(self) -> bool:
        """Whether it is made of convolutions, batch norms and ReLU alone, which nobody observes."""
        return self._ends_in_relu() and all(map(is_plain, self.conv_layers))

    def _ends_in_relu(self) -> bool:
        own = self._modules
        return self.fast and type(own['se']) is nn.Identity and type(own['act']) is nn.ReLU

    def _folded_convolutions(self, trains: bool, infers: bool) -> list[FoldedConvolution] | None:
        """Its convolutions with the norms folded in, where they can and that is faster.

        In the deploy form they are. In evaluation they are folded for each batch anew, because
        nobody tells when a parameter has changed; where gradients are wanted, autograd takes those
        of the folding, too.

        Args:
            trains: what :func:`.fast.trains_here` says of the input.
            infers: what :func:`.fast.infers_here` says of it.
        """
        layers = compress, depthwise, expand = self.conv_layers
        if type(compress) is type(depthwise) is type(expand) is DeployConv2d:
            own = infers and compress.relu and compress.fused and depthwise.fused and expand.fused
            fits = own and self._ends_in_relu() and not is_observed(*layers)
            return [layer.run_fused for layer in layers] if fits else None
        if infers and not torch.is_grad_enabled():
            run = convolve_fused
        elif trains:
            run = convolve
        else:
            return None
        if not self._is_plain() or any(layer.norm.training for layer in layers):
            return None
        return [partial(run, prepared=_folded(layer)) for layer in layers]

    def _run_folded(
        self,
        x: Tensor,
        compress: FoldedConvolution,
        depthwise: FoldedConvolution,
        expand: FoldedConvolution,
    ) -> Tensor:
        out = depthwise(compress(x, relu=True))
        if self.shuffle_groups > 1:
            out = shuffle_pixels(out, self.shuffle_groups, native=not out.requires_grad)
        if self.stride == 1:
            return expand(out, relu=True, add=x)
        return torch.cat((self.avgpool(x), expand(out, relu=True)), dim=1)


def _folded(layer: ConvModule) -> tuple:
    """A convolution with its norm folded in."""
    own = layer._modules
    conv = own['conv']
    weight, bias = fold(conv, own[layer.norm_name])
    return prepare(weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)
