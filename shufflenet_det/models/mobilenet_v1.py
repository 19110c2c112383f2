"""MobileNet v1 as an MMDetection backbone."""
from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.utils import make_divisible
from mmdet.registry import MODELS
from torch import Tensor, nn

from .staged import StagedBackbone
from .unit import Unit, layer_settings
from .widths import check_widen_factor

STEM_CHANNELS = 32
UNITS = (
    ((64, 1), (128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), *((512, 1),) * 5),
    ((1024, 2), (1024, 1)),
)
"""Channels and stride of each depthwise separable unit (Table 1), by the level that it leads to."""


def mobilenet_v1_widths(widen_factor: float = 1.0) -> list[int]:
    """Channels of the four levels of MobileNet v1.

    Raises:
        ConfigError: a factor that cannot be.
    """
    check_widen_factor(widen_factor)
    return [_width(units[-1][0], widen_factor) for units in UNITS]


def _width(channels: int, widen_factor: float) -> int:
    return make_divisible(channels * widen_factor, 8)


class SeparableUnit(Unit):
    """3x3 depthwise and 1x1 convolution, each with batch norm and ReLU (Figure 3, right).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: stride of the depthwise convolution.
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
        self.depthwise = ConvModule(
            in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, **layers
        )
        self.pointwise = ConvModule(in_channels, out_channels, 1, **layers)

    def _forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


@MODELS.register_module()
class MobileNetV1(StagedBackbone):
    """MobileNet v1 (arXiv 1704.04861, Table 1): a convolution and 13 depthwise separable units.

    Level 0 is the last map of stride 4 (the stem: a convolution and three units), 1 to 3
    are the last ones of strides 8, 16 and 32. Level k of an image (H, W) is (H, W) / stride,
    rounded up.

    Args:
        widen_factor: factor on the channels, the paper's width multiplier; rounded to multiples
            of 8, which the paper's 1.0, 0.75, 0.5 and 0.25 are already.
        out_indices: levels to return; stages after the last one named are not built.
        frozen_stages: -1 freezes nothing; k freezes the stem and the levels 1 to k.
        conv_cfg, norm_cfg, act_cfg: layers, as everywhere in MMDetection.
        norm_eval: keep the statistics of all batch norms as they are while training.
        with_cp: recompute units in the backward pass to save memory.
        init_cfg: initialisation; Kaiming by default.

    Attributes:
        out_channels: channels of each returned level, known without a forward pass.
        out_strides: stride of each returned level relative to the image.

    Raises:
        ConfigError: a width factor or indices that cannot be.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            channels=mobilenet_v1_widths(widen_factor),
            strides=(4, 8, 16, 32),
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        layers = layer_settings(conv_cfg, norm_cfg, act_cfg)
        in_channels = _width(STEM_CHANNELS, widen_factor)
        stem = ConvModule(3, in_channels, 3, stride=2, padding=1, **layers)
        stages = []
        for units in UNITS[: max(self.out_indices) + 1]:
            stage = nn.Sequential()
            for channels, stride in units:
                width = _width(channels, widen_factor)
                stage.append(
                    SeparableUnit(in_channels, width, stride=stride, with_cp=with_cp, **layers)
                )
                in_channels = width
            stages.append(stage)
        self.stem = nn.Sequential(stem, *stages[0])
        self.layers = nn.ModuleList(stages[1:])
        self._freeze_stages()
