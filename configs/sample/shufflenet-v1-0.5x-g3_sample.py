# Pretrains the backbone of the sample detectors on the classification sample.
# 8000 images / 64 a step = 125 steps an epoch
_base_ = [
    '../_base_/models/classifier_shufflenet-v1.py',
    '../_base_/sample_classification.py',
    '../_base_/imagenet_runtime.py',
]
epochs = 10
model = dict(backbone=dict(widen_factor=0.5), head=dict(num_classes=32))
train_cfg = dict(
    type='ResumableEpochLoop', max_epochs=epochs, val_begin=epochs, val_interval=epochs
)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, nesterov=True, weight_decay=4e-5),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=125),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=125, end=125 * epochs, eta_min=0.0),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(by_epoch=True, interval=1, max_keep_ckpts=1, save_best=None, rule=None),
)
log_processor = dict(by_epoch=True)
randomness = dict(seed=0)
