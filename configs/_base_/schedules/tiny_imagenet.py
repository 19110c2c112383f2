# SGD with warm-up and cosine, counted in epochs and stepped with each batch.
warmup_epochs = 2

train_cfg = dict(type='ResumableEpochLoop', max_epochs=40, val_interval=5)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.2, momentum=0.9, nesterov=True, weight_decay=4e-5),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    # without `end` it falls until the end of the run, whatever that is
    dict(type='CosineAnnealingLR', begin=warmup_epochs, eta_min=0.0, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=256)
