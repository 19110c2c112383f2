"""RoI features at full precision under mixed precision."""
from collections.abc import Sequence

from mmdet.models import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class FP32SingleRoIExtractor(SingleRoIExtractor):
    """``SingleRoIExtractor`` that keeps the coordinates of RoIs in float32.

    MMDetection converts them to the type of the features: bfloat16 knows every fourth pixel only
    between 512 and 1024, float16 every half. Arguments are those of ``SingleRoIExtractor``.
    """

    def forward(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Levels (N, C, H, W) and RoIs (K, 5) to float32 features (K, C, bins, bins)."""
        return super().forward(tuple(f.float() for f in feats), rois, roi_scale_factor)
