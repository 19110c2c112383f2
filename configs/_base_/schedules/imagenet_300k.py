# The paper's recipe (section 4): 300000 iterations of 1024 images (4 GPUs x 256), which are 240
# epochs of 1281167 images; the learning rate falls linearly from 0.5 to 0: iteration i has
# 0.5 x (1 - i / 300000). `end` is one more because MMEngine reaches the end value at `end - 1`.
# With other numbers of GPUs: `--accumulate N` keeps the batch, `--auto-scale-lr` scales the rate.
train_cfg = dict(type='ResumableIterLoop', max_iters=300000, val_interval=10000)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=4e-5),
    # no decay of batch norms and biases, in which it regularises nothing
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.0, by_epoch=False, begin=0, end=300001
)
auto_scale_lr = dict(base_batch_size=1024)
