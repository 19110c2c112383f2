# Ours, not the paper's: twice as long, warm-up and cosine, mixed images, smoothed labels, and the
# moving average of the weights is what is evaluated and saved.
_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(
    data_preprocessor=dict(mixup=0.1, cutmix=0.3, num_classes=1000),
    head=dict(label_smoothing=0.1),
)
train_cfg = dict(max_iters=600000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=6250),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=6250, end=600000, eta_min=0.0),
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', momentum=1e-4, priority='ABOVE_NORMAL'),
]
