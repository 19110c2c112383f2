_base_ = './alexnet_in1k.py'
model = dict(backbone=dict(type='SqueezeNet'))
