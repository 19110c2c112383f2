_base_ = './faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600.py'
model = dict(
    backbone=dict(widen_factor=2.0),
    rpn_head=dict(in_channels=960, feat_channels=480),
    roi_head=dict(
        shared_head=dict(backbone=dict(widen_factor=2.0)),
        bbox_roi_extractor=dict(out_channels=960),
        bbox_head=dict(in_channels=1920),
    ),
)
