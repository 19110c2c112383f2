_base_ = './faster-rcnn_shufflenet-v1-1x-g3_fpn_2x_coco-300.py'
model = dict(
    backbone=dict(widen_factor=2.0),
    neck=dict(in_channels=_base_.start.channels or [48, 480, 960, 1920]),
)
