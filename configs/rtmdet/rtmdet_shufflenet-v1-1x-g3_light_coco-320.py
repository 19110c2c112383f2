_base_ = [
    '../_base_/models/rtmdet_shufflenet-v1_light.py',
    '../_base_/datasets/coco_320_square.py',
    '../_base_/schedules/coco_adamw.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
