# Table 5: with squeeze-and-excitation
_base_ = './shufflenet-v1-2x-g3_in1k.py'
model = dict(backbone=dict(with_se=True))
