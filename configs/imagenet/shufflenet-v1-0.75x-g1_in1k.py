# Not in the paper: the widths of pytorchcv's weights, whose stem scales with the factor.
_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(backbone=dict(groups=1, widen_factor=0.75, stem_channels=18))
