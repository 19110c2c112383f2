# The classic recipe, for networks without batch norm, which a learning rate of 0.5 would destroy:
# 90 epochs of 256 images a step (4 GPUs x 64), learning rate 0.01, divided by 10 every 30 epochs.
_base_ = './shufflenet-v1-1x-g3_in1k.py'
model = dict(
    backbone=dict(_delete_=True, type='AlexNet'),
    head=dict(_delete_=True, type='OriginalHead', num_classes=1000),
)
train_dataloader = dict(batch_size=64)
train_cfg = dict(_delete_=True, type='ResumableEpochLoop', max_epochs=90, val_interval=5)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = dict(_delete_=True, type='StepLR', step_size=30, gamma=0.1, by_epoch=True)
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5))
log_processor = dict(by_epoch=True)
auto_scale_lr = dict(base_batch_size=256)
