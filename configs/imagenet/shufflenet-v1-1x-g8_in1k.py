_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(backbone=dict(groups=8, widen_factor=1.0))
