_base_ = [
    '../_base_/models/faster-rcnn_shufflenet-v1_light.py',
    '../_base_/datasets/coco_300.py',
    '../_base_/schedules/coco_2x.py',
    '../_base_/default_runtime.py',
]
# half the resolution, half the anchors
model = dict(rpn_head=dict(anchor_generator=dict(scales=[2, 4, 8])))
