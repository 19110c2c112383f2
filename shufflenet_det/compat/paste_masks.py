"""Pasting masks on CPU fails in MMDetection 3.3 at a box outside of the picture.

Detectors that do not clip their boxes (QueryInst) predict such boxes before they are trained.
"""
from collections.abc import Callable

import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from torch import Tensor

from .wrapping import wrap


def needed() -> bool:
    """Whether a box outside of the picture fails."""
    mask, outside = torch.zeros(1, 1, 2, 2), torch.tensor([[-9.0, 1, -6, 2]])
    try:
        fcn_mask_head._do_paste_mask(mask, outside, 4, 4, skip_empty=True)
    except RuntimeError:
        return True
    return False


def install() -> None:
    """Give it an empty mask. Calling it again changes nothing."""
    wrap(fcn_mask_head, '_do_paste_mask', _without_what_is_outside)


def _without_what_is_outside(paste: Callable) -> Callable:
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
