_base_ = [
    '../_base_/models/rtmdet_shufflenet-v1_light.py',
    '../_base_/datasets/coco_320_square.py',
    '../_base_/schedules/coco_adamw.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='PipelineSwitchHook',
        switch_epoch=_base_.epochs - _base_.late_epochs,
        switch_pipeline=_base_.late_pipeline,
    ),
]
