_base_ = [
    '../_base_/models/classifier_shufflenet-v1.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_300k.py',
    '../_base_/imagenet_runtime.py',
]
