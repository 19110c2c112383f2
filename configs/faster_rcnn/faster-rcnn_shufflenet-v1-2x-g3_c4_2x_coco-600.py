_base_ = './faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600.py'
from shufflenet_det.weights.start import level_channels  # noqa: E402

widths = level_channels(_base_.start, groups=3, widen_factor=2.0)
model = dict(
    backbone=dict(widen_factor=2.0),
    rpn_head=dict(in_channels=widths[2], feat_channels=widths[2] // 2),
    roi_head=dict(
        shared_head=dict(backbone=dict(widen_factor=2.0)),
        bbox_roi_extractor=dict(out_channels=widths[2]),
        bbox_head=dict(in_channels=widths[3]),
    ),
)
