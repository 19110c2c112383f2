_base_ = './rtmdet_shufflenet-v1-1x-g3_light_coco-320.py'
from shufflenet_det.weights.start import level_channels  # noqa: E402

widths = level_channels(_base_.start, groups=3, widen_factor=0.5)
model = dict(backbone=dict(widen_factor=0.5), neck=dict(in_channels=widths[1:]))
