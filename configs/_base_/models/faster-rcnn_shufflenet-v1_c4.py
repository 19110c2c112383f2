# The paper's detector: RPN and RoIAlign on stage 3 (stride 16), stage 4 as the head of each RoI.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py'

# An ImageNet checkpoint, path or URL; with none the detector trains from scratch. Pretrained batch
# norms keep their statistics, because 4 images a GPU are too few to estimate them anew.
pretrained = '{{$SHUFFLENET_PRETRAINED:none}}'
from_scratch = pretrained == 'none'

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV1',
        groups=3,
        widen_factor=1.0,
        out_indices=(2,),
        norm_eval=not from_scratch,
        init_cfg=None
        if from_scratch
        else dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.'),
    ),
    # 256 channels suffice for the RPN: a stage 3 of 480 channels is half a ResNet-50's
    rpn_head=dict(in_channels=480, feat_channels=256),
    roi_head=dict(
        shared_head=dict(
            _delete_=True,
            type='SharedRoIStage',
            backbone=dict(type='ShuffleNetV1', groups=3, widen_factor=1.0),
            norm_eval=not from_scratch,
            init_cfg=None
            if from_scratch
            else dict(type='Pretrained', checkpoint=pretrained, prefix='backbone.layers.2.'),
        ),
        bbox_roi_extractor=dict(out_channels=480),
        bbox_head=dict(in_channels=960),
    ),
    # every proposal runs through stage 4: 300, as in the Faster R-CNN paper, instead of 1000
    test_cfg=dict(rpn=dict(max_per_img=300)),
)
