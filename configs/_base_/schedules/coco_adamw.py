# 100 epochs of COCO train2017 by AdamW, as RTMDet trains, at a rate for 64 images a step: 4 GPUs x
# 16 images. Nobody has trained with it yet. `--auto-scale-lr` follows other numbers linearly.
_base_ = './coco_2x.py'
epochs = 100
warmup = 1000
train_cfg = dict(max_epochs=epochs, val_interval=10)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.004, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(
        type='CosineAnnealingLR', begin=epochs // 2, end=epochs, T_max=epochs // 2,
        eta_min_ratio=0.05, convert_to_iter_based=True,
    ),
]  # fmt: skip
auto_scale_lr = dict(base_batch_size=64)
