# One stage, for CPUs: the backbone and the neck of the light Faster R-CNN with RTMDet's assigner
# and losses and a thin head (docs/light-detector.md).
_base_ = './faster-rcnn_shufflenet-v1_light.py'

model = dict(
    _delete_=True,
    type='SingleStageDetector',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    bbox_head=dict(
        type='LightRTMDetHead',
        num_classes=80,
        in_channels=_base_.channels,
        feat_channels=_base_.channels,
        stacked_convs=2,
        with_objectness=False,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU'),
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=_base_.strides),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(type='DynamicSoftLabelAssigner', topk=13), allowed_border=-1, pos_weight=-1
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.01,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100,
    ),
)
small_data_rate = 0.003  # of AdamW for 8 images a step, where tools/prepare_data.py inherits this
