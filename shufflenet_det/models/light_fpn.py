"""A feature pyramid that is thin where MMDetection's is wide."""
from collections.abc import Sequence

from mmcv.cnn import DepthwiseSeparableConvModule
from mmdet.models import FPN
from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module()
class LightFPN(FPN):
    """``FPN`` whose output convolutions are depthwise separable.

    A dense 3x3 convolution on every output is most of the cost of an FPN; this one has a depthwise
    convolution and a pointwise one in its place, an eighth of the multiply-adds or less. Batch norm
    follows the pointwise one, which trains from random weights faster than without; it folds into
    the convolution for deployment.

    Args:
        in_channels: channels of the levels that come in, finest first.
        out_channels: channels of every level that goes out.
        kernel_size: of the depthwise convolutions; odd.
        norm_cfg: normalisation behind the laterals and the outputs, as everywhere in MMDetection.
        kwargs: ``start_level``, ``end_level`` and ``upsample_cfg`` of ``FPN``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        kernel_size: int = 3,
        norm_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        in_channels = list(in_channels)
        super().__init__(
            in_channels, out_channels, num_outs=len(in_channels), norm_cfg=norm_cfg, **kwargs
        )
        self.fpn_convs = nn.ModuleList(
            DepthwiseSeparableConvModule(
                out_channels,
                out_channels,
                kernel_size,
                padding=kernel_size // 2,
                norm_cfg=norm_cfg,
                act_cfg=dict(type='ReLU'),
                dw_norm_cfg=None,
                dw_act_cfg=None,
            )
            for _ in self.lateral_convs
        )
