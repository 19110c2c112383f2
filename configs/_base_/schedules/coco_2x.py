# 24 epochs of COCO train2017: 117266 images with objects / 16 a step = 7330 steps an epoch, 175920
# steps in all. Batch 16 = 4 GPUs x 4 images, learning rate 0.02 = 16 x 0.00125, divided by 10 after
# epochs 16 and 22 (117280 and 161260 steps). With other numbers of GPUs or images a GPU,
# `--auto-scale-lr` keeps 0.00125 an image.
_base_ = 'mmdet::_base_/schedules/schedule_2x.py'
train_cfg = dict(type='ResumableEpochLoop')
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
auto_scale_lr = dict(base_batch_size=16)
