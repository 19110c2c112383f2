# docs/light-detector.md compares it with the two-stage detectors beside it, trained on as many
# images.
# 576 training images with objects / 8 a step = 72 steps an epoch
_base_ = [
    '../rtmdet/rtmdet_shufflenet-v1-0.5x-g3_light_coco-320.py',
    '../_base_/sample.py',
]
model = dict(bbox_head=dict(num_classes=8))
train_dataloader = _base_.sample_train_dataloader
# so few epochs are all among the last
train_dataloader.dataset.pipeline = _base_.late_pipeline
val_dataloader = _base_.sample_val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.sample_evaluator
test_evaluator = val_evaluator
optim_wrapper = _base_.small_optim_wrapper
optim_wrapper.optimizer.lr = _base_.small_data_rate
auto_scale_lr = _base_.small_auto_scale_lr
default_hooks = _base_.small_hooks
randomness = dict(seed=0)
train_cfg = dict(max_epochs=3, val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=3 * 72, eta_min=5e-5),
]
