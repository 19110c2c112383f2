"""The units of other networks that the paper puts beside its own (section 4.2, Table 4)."""
from mmcv.cnn import ConvModule, build_activation_layer
from torch import Tensor, nn

from ..common.errors import ConfigError
from .unit import Unit, layer_settings


class VGGUnit(Unit):
    """Two 3x3 convolutions, each with batch norm and ReLU, no shortcut ("VGG-like").

    Args:
        in_channels: channels of the input.
        out_channels: channels of both convolutions.
        stride: stride of the first convolution.
        conv_cfg, norm_cfg, act_cfg: layers, as everywhere in MMDetection.
        with_cp: recompute the unit in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__(with_cp)
        layers = layer_settings(conv_cfg, norm_cfg, act_cfg)
        self.conv1 = ConvModule(in_channels, out_channels, 3, stride=stride, padding=1, **layers)
        self.conv2 = ConvModule(out_channels, out_channels, 3, padding=1, **layers)

    def _forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class BottleneckUnit(Unit):
    """1x1, 3x3 and 1x1 convolution with a shortcut: the unit of ResNet and of ResNeXt.

    The stride is that of the 3x3 convolution, as in ShuffleNet's unit; then the shortcut is a 1x1
    convolution of stride 2 (ResNet's option B).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; equal to ``in_channels`` at stride 1.
        stride: 1 or 2.
        ratio: the bottleneck has ``out_channels / ratio`` channels; ``out_channels`` divides.
        groups: groups of the 3x3 convolution, ResNeXt's cardinality. The bottleneck is rounded to
            a multiple of it, one channel a group at least, because the nets of 13 and 38 MFLOPs
            are narrower than 16 groups would need.
        conv_cfg, norm_cfg, act_cfg: layers, as everywhere in MMDetection.
        with_cp: recompute the unit in the backward pass to save memory.

    Raises:
        ConfigError: widths that the unit cannot have.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        ratio: int = 4,
        groups: int = 1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__(with_cp)
        if out_channels % ratio:
            raise ConfigError(
                f'a unit with {out_channels} channels has no bottleneck of a {ratio}th of them: '
                f'use stage_channels that are multiples of {ratio}.'
            )
        if stride == 1 and in_channels != out_channels:
            raise ConfigError(
                f'a BottleneckUnit with stride 1 adds its input: in_channels ({in_channels}) and '
                f'out_channels ({out_channels}) must be equal.'
            )
        layers = layer_settings(conv_cfg, norm_cfg, act_cfg)
        act_cfg = layers.pop('act_cfg')
        bottleneck = max(1, int(out_channels / ratio / groups + 0.5)) * groups
        self.conv1 = ConvModule(in_channels, bottleneck, 1, act_cfg=act_cfg, **layers)
        self.conv2 = ConvModule(
            bottleneck, bottleneck, 3, stride=stride, padding=1, groups=groups, act_cfg=act_cfg,
            **layers,
        )  # fmt: skip
        self.conv3 = ConvModule(bottleneck, out_channels, 1, act_cfg=None, **layers)
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else ConvModule(in_channels, out_channels, 1, stride=stride, act_cfg=None, **layers)
        )
        self.act = build_activation_layer(act_cfg)

    def _forward(self, x: Tensor) -> Tensor:
        return self.act(self.shortcut(x) + self.conv3(self.conv2(self.conv1(x))))
