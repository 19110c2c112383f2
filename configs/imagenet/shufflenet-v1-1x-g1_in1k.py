_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(backbone=dict(groups=1, widen_factor=1.0))
