"""A dense head that is thin where MMDetection's are wide."""
import math

from mmdet.models.dense_heads import RTMDetSepBNHead
from mmdet.registry import MODELS
from mmengine.model import constant_init


@MODELS.register_module()
class LightRTMDetHead(RTMDetSepBNHead):
    """RTMDet's head of depthwise separable convolutions, whose first boxes have a size.

    All levels share their convolutions, and each has its own batch norms. RTMDet's boxes begin
    with no size, or a side of two strides, so that the first steps of a short training go into
    growing them. Here they begin as large as an anchor would be.

    Args:
        prior: distance from a place to each side of its first box, in strides.
        args, kwargs: of ``RTMDetSepBNHead``.
    """

    def __init__(self, *args, prior: float = 4.0, **kwargs) -> None:
        # MMDetection's head cannot share depthwise convolutions; _init_layers does
        super().__init__(*args, use_depthwise=True, share_conv=False, exp_on_reg=True, **kwargs)
        self.prior = prior

    def _init_layers(self) -> None:
        super()._init_layers()
        for branch in (self.cls_convs, self.reg_convs):
            for level in branch[1:]:
                for layer, first in zip(level, branch[0], strict=True):
                    layer.depthwise_conv.conv = first.depthwise_conv.conv
                    layer.pointwise_conv.conv = first.pointwise_conv.conv

    def init_weights(self) -> None:
        """As RTMDet's, but for the sizes of the boxes."""
        super().init_weights()
        for layer in self.rtm_reg:
            constant_init(layer, 0, bias=math.log(self.prior))
