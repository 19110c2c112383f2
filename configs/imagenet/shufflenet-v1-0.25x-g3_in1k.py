_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(backbone=dict(groups=3, widen_factor=0.25))
