_base_ = './faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600.py'
model = dict(
    backbone=dict(widen_factor=0.5),
    rpn_head=dict(in_channels=240, feat_channels=120),
    roi_head=dict(
        shared_head=dict(backbone=dict(widen_factor=0.5)),
        bbox_roi_extractor=dict(out_channels=240),
        bbox_head=dict(in_channels=480),
    ),
)
