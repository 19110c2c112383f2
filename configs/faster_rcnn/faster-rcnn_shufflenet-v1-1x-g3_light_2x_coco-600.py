_base_ = [
    '../_base_/models/faster-rcnn_shufflenet-v1_light.py',
    '../_base_/datasets/coco_600.py',
    '../_base_/schedules/coco_2x.py',
    '../_base_/default_runtime.py',
]
