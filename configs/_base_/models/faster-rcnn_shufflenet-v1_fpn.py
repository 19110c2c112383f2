# Faster R-CNN with a feature pyramid: what people choose today.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

# An ImageNet checkpoint, path or URL; with none the detector trains from scratch. Pretrained batch
# norms keep their statistics, because 4 images a GPU are too few to estimate them anew.
pretrained = '{{$SHUFFLENET_PRETRAINED:none}}'
pretrained_init = dict(type='Pretrained', checkpoint=pretrained) if pretrained != 'none' else None

model = dict(
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV1',
        groups=3,
        widen_factor=1.0,
        out_indices=(0, 1, 2, 3),
        norm_eval=bool(pretrained_init),
        init_cfg=pretrained_init and dict(pretrained_init, prefix='backbone.'),
    ),
    neck=dict(in_channels=[24, 240, 480, 960]),
    roi_head=dict(bbox_roi_extractor=dict(type='FP32SingleRoIExtractor')),
)
