"""Masks of boxes outside of the picture, which MMDetection 3.3 cannot paste on CPU."""
from shufflenet_det.compat import paste_masks

import pytest
import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from mmengine.config import ConfigDict

OUTSIDE = [[-90., 3, -60, 20], [70, 3, 90, 20], [3, -90, 20, -60], [3, 70, 20, 90]]
ACROSS = [[-5., 4, 12, 20], [30, 30, 99, 99]]


def masks_of(boxes: list, clip: bool = False) -> torch.Tensor:
    head = fcn_mask_head.FCNMaskHead(num_convs=0, in_channels=2, num_classes=1)
    labels = torch.zeros(len(boxes), dtype=torch.long)
    return head._predict_by_feat_single(
        torch.full((len(boxes), 1, 28, 28), 9.0),
        torch.tensor(boxes),
        labels,
        dict(scale_factor=(1, 1), ori_shape=(48, 64)),
        ConfigDict(mask_thr_binary=0.5),
    )


@pytest.mark.parametrize('box', OUTSIDE)
def test_a_box_outside_of_the_picture_has_an_empty_mask(box):
    masks = masks_of([ACROSS[0], box, ACROSS[1]])
    assert masks.shape == (3, 48, 64) and not masks[1].any()
    assert torch.equal(masks[[0, 2]], masks_of(ACROSS)) and masks[0].any() and masks[2].any()


def test_boxes_in_the_picture_are_pasted_as_before():
    mended = fcn_mask_head._do_paste_mask
    inputs = torch.rand(2, 1, 28, 28), torch.tensor(ACROSS), 48, 64
    for skip_empty in (True, False):
        result, where = mended(*inputs, skip_empty)
        expected, place = mended.__wrapped__(*inputs, skip_empty)
        assert torch.equal(result, expected) and where == place


def test_installing_again_changes_nothing():
    before = fcn_mask_head._do_paste_mask
    paste_masks.install()
    assert fcn_mask_head._do_paste_mask is before
