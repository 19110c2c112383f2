_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(backbone=dict(widen_factor=1.5))
