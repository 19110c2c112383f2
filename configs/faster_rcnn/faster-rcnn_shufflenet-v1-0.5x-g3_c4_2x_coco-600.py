_base_ = './faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600.py'
widths = _base_.start.channels or [12, 120, 240, 480]
model = dict(
    backbone=dict(widen_factor=0.5),
    rpn_head=dict(in_channels=widths[2], feat_channels=widths[2] // 2),
    roi_head=dict(
        shared_head=dict(backbone=dict(widen_factor=0.5)),
        bbox_roi_extractor=dict(out_channels=widths[2]),
        bbox_head=dict(in_channels=widths[3]),
    ),
)
