# Table 5: half the units, wider
_base_ = './shufflenet-v1-0.5x-g3_in1k.py'
model = dict(backbone=dict(shallow=True))
