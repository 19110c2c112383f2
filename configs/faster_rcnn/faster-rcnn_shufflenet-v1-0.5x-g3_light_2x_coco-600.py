_base_ = './faster-rcnn_shufflenet-v1-1x-g3_light_2x_coco-600.py'
model = dict(
    backbone=dict(widen_factor=0.5),
    neck=dict(in_channels=_base_.start.channels[1:] or [120, 240, 480]),
)
