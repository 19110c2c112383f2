# Table 3: without channel shuffle
_base_ = './shufflenet-v1-0.5x-g8_in1k.py'
model = dict(backbone=dict(shuffle='none'))
