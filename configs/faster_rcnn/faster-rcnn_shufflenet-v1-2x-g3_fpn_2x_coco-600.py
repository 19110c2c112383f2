_base_ = './faster-rcnn_shufflenet-v1-1x-g3_fpn_2x_coco-600.py'
from shufflenet_det.weights.start import level_channels  # noqa: E402

widths = level_channels(_base_.start, groups=3, widen_factor=2.0)
model = dict(backbone=dict(widen_factor=2.0), neck=dict(in_channels=widths))
