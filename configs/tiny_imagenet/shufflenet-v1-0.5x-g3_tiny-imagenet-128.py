# The same network on images enlarged to 128 pixels, in as much time.
_base_ = './claims-128.py'
epochs = 14
warmup_epochs = {{_base_.warmup_epochs}}
model = dict(backbone=dict(widen_factor=0.5))
train_cfg = dict(max_epochs=epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=warmup_epochs, end=epochs, eta_min=0.0,
        convert_to_iter_based=True,
    ),
]  # fmt: skip
randomness = dict(seed=0)
