_base_ = './shufflenet-v1-1x-g3_ours-600k_in1k.py'
model = dict(backbone=dict(widen_factor=0.5))
