"""Levels that are coarser than the last one of a backbone."""
from collections.abc import Sequence

from mmcv.cnn import DepthwiseSeparableConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from .staged import DEFAULT_INIT


@MODELS.register_module()
class ExtraLevels(BaseModule):
    """A neck before the neck: it adds levels, each from the one before it at half the size.

    Detectors for large images (RTMDet's P6) take a level at stride 64, which networks of the paper
    do not have. Each level is a depthwise separable 3x3 convolution with stride 2.

    Args:
        in_channels: channels of the last level of the backbone, which the new ones have, too.
        num_levels: how many to add.
        norm_cfg: normalisation; batch norm by default.
        act_cfg: activation; ReLU by default.
        init_cfg: initialisation; that of the backbones by default.
    """

    def __init__(
        self,
        in_channels: int,
        num_levels: int = 1,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT)
        self.levels = nn.ModuleList(
            DepthwiseSeparableConvModule(
                in_channels,
                in_channels,
                3,
                stride=2,
                padding=1,
                norm_cfg=norm_cfg or dict(type='BN'),
                act_cfg=act_cfg or dict(type='ReLU'),
            )
            for _ in range(num_levels)
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The maps (N, C, H, W) of a backbone, and behind them the new ones."""
        maps = list(maps)
        for level in self.levels:
            maps.append(level(maps[-1]))
        return tuple(maps)
