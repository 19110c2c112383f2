"""The skeleton of the paper's Table 1, into which a unit is put."""
from collections.abc import Callable, Sequence

from mmcv.cnn import ConvModule
from torch import nn

from .staged import StagedBackbone
from .unit import layer_settings
from .widths import STAGE_BLOCKS

UnitFactory = Callable[..., nn.Module]
"""``(in_channels, out_channels, *, stage, stride, conv_cfg, norm_cfg, act_cfg)`` to a unit."""


class UnitNet(StagedBackbone):
    """Stem, max pooling, and three stages of one kind of unit (arXiv 1707.01083, Table 1).

    Level 0 is the stem after pooling (stride 4), 1 to 3 are stages 2 to 4 (strides 8, 16, 32). The
    first unit of a stage has stride 2. Level k of an image (H, W) is (H, W) / stride, rounded up.

    Args:
        make_unit: builds one unit.
        stem_channels: channels of the stem.
        stage_channels: channels of stages 2, 3 and 4.
        blocks: units in each stage.
        conv_cfg, norm_cfg, act_cfg: layers, as everywhere in MMDetection.
        out_indices, frozen_stages, norm_eval, init_cfg: as in :class:`StagedBackbone`.
    """

    stem_names = ('conv1', 'maxpool')

    def __init__(
        self,
        make_unit: UnitFactory,
        stem_channels: int,
        stage_channels: Sequence[int],
        *,
        blocks: Sequence[int] = STAGE_BLOCKS,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        channels = (stem_channels, *stage_channels)
        super().__init__(
            channels, (4, 8, 16, 32), out_indices, frozen_stages, norm_eval, init_cfg
        )
        layers = layer_settings(conv_cfg, norm_cfg, act_cfg)
        self.conv1 = ConvModule(3, stem_channels, 3, stride=2, padding=1, **layers)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layers = nn.ModuleList()
        for stage in range(max(self.out_indices)):
            width = channels[stage + 1]
            first = make_unit(channels[stage], width, stage=stage, stride=2, **layers)
            rest = [
                make_unit(width, width, stage=stage, stride=1, **layers)
                for _ in range(blocks[stage] - 1)
            ]
            self.layers.append(nn.Sequential(first, *rest))
        self._freeze_stages()
