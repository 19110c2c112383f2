_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(
    backbone=dict(_delete_=True, type='MobileNetV1', widen_factor=0.5, out_indices=(3,))
)
