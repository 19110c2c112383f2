"""mmpretrain's ShuffleNetV1 with the widths, levels and weights of ours.

Import this module where it is needed: mmpretrain is not among the requirements.
"""
from typing import Self

from mmcv.cnn import ConvModule
from mmpretrain.models.backbones import ShuffleNetV1 as Original
from torch import Tensor, nn

from ..models import ShuffleNetV1


class MMPretrainShuffleNetV1(Original):
    """The layers and the code of mmpretrain, at any widths and with the stem as level 0.

    mmpretrain rounds widths in its own way and cannot build 7 of the paper's 25 networks; with
    widths that are given its layers make all of them.

    Args:
        ours: the network whose widths, levels and weights to take; its state dict has the same
            keys.

    Raises:
        ValueError: mmpretrain does not know the number of groups.
    """

    def __init__(self, ours: ShuffleNetV1) -> None:
        super().__init__(groups=ours.variant['groups'], norm_eval=ours.norm_eval)
        stem, stages = ours.variant['stem_channels'], ours.variant['stage_channels']
        self.out_indices = ours.out_indices
        self.out_channels, self.out_strides = ours.out_channels, ours.out_strides
        self.conv1 = ConvModule(
            3, stem, 3, stride=2, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
        )
        self.in_channels = stem
        self.layers = nn.ModuleList(
            self.make_layer(width, blocks, first_block=stage == 0)
            for stage, (width, blocks) in enumerate(zip(stages, self.stage_blocks, strict=True))
            if stage < max(ours.out_indices)
        )
        self.load_state_dict(ours.state_dict())

    def train(self, mode: bool = True) -> Self:
        """Switch the mode; mmpretrain's method returns nothing."""
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the levels of ``out_indices``, as ours returns them."""
        x = self.maxpool(self.conv1(x))
        outs = [x] if 0 in self.out_indices else []
        for level, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if level in self.out_indices:
                outs.append(x)
        return tuple(outs)
