"""Models of MMDetection 3.3 that do not work as they were released."""
from mmdet.models.dense_heads import SSDHead


def install() -> None:
    """Mend them in memory.

    ``SSDHead`` keeps no ``loss_cls``, for which prediction asks since MMDetection 3.0.
    """
    if not hasattr(SSDHead, 'loss_cls'):
        SSDHead.loss_cls = None
