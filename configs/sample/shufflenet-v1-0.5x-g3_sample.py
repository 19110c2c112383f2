# Pretrains the backbone of the sample detectors on the classification sample.
# 8000 images / 64 a step = 125 steps an epoch
_base_ = './claims.py'
epochs = 10
model = dict(backbone=dict(widen_factor=0.5))
train_cfg = dict(max_epochs=epochs, val_begin=epochs, val_interval=epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=125),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=125, end=125 * epochs, eta_min=0.0),
]
randomness = dict(seed=0)
