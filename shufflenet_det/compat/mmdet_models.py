"""Models of MMDetection 3.3 that do not work as they were released."""
import functools
from collections.abc import Callable

from mmdet.models.dense_heads import SSDHead
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from torch import Tensor


def install() -> None:
    """Mend them in memory. Calling it again changes nothing.

    ``SSDHead`` keeps no ``loss_cls``, for which prediction asks since MMDetection 3.0. Pasting
    masks on CPU fails at a box outside of the picture, as detectors that do not clip their boxes
    (QueryInst) predict them before they are trained.
    """
    if not hasattr(SSDHead, 'loss_cls'):
        SSDHead.loss_cls = None
    paste = fcn_mask_head._do_paste_mask
    if not hasattr(paste, '__wrapped__'):
        fcn_mask_head._do_paste_mask = _without_what_is_outside(paste)


def _without_what_is_outside(paste: Callable) -> Callable:
    @functools.wraps(paste)
    def paste_inside(
        masks: Tensor, boxes: Tensor, img_h: int, img_w: int, skip_empty: bool = True
    ) -> tuple[Tensor, tuple]:
        if skip_empty:
            # the rectangle around all boxes, a pixel wider, which `paste` fills
            x0, y0 = (boxes[:, :2].amin(0).floor() - 1).clamp(min=0).tolist()
            x1, y1 = (boxes[:, 2:].amax(0).ceil() + 1).tolist()
            if x0 >= img_w or y0 >= img_h or x1 <= 0 or y1 <= 0:
                return masks.new_zeros(len(masks), 0, 0), (slice(0, 0), slice(0, 0))
        return paste(masks, boxes, img_h, img_w, skip_empty)

    return paste_inside
