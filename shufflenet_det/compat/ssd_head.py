"""``SSDHead`` of MMDetection 3.0 to 3.3 keeps no ``loss_cls``, for which prediction asks."""
from mmdet.models.dense_heads import SSDHead


def needed() -> bool:
    """Whether the class lacks it."""
    return not hasattr(SSDHead, 'loss_cls')


def install() -> None:
    """Give it none. Calling it again changes nothing."""
    SSDHead.loss_cls = None
