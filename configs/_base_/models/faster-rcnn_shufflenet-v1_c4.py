# The paper's detector: RPN and RoIAlign on stage 3 (stride 16), stage 4 as the head of each RoI.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py'
from shufflenet_det.weights.start import level_channels, start_from  # noqa: E402

# An ImageNet checkpoint: a name such as shufflenet://authors-0.5x-g3, a path or an address; with
# none the detector trains from scratch. What the weights say of themselves (groups, widths, order
# of the shuffle, pixels) stands in for what is written below.
pretrained = '{{$SHUFFLENET_PRETRAINED:none}}'
keep_statistics = True  # of pretrained batch norms: 4 images a GPU are too few for new ones
start = start_from(pretrained)
widths = level_channels(start, groups=3, widen_factor=1.0)

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    | start['pixels'],
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV1',
        **(start['backbone'] or dict(groups=3, widen_factor=1.0)),
        out_indices=(2,),
        norm_eval=keep_statistics and bool(start['init_cfg']),
        init_cfg=start['init_cfg'],
    ),
    # half the width of stage 3, to keep the RPN in proportion to the backbone
    rpn_head=dict(in_channels=widths[2], feat_channels=widths[2] // 2),
    roi_head=dict(
        shared_head=dict(
            _delete_=True,
            type='SharedRoIStage',
            backbone=dict(
                type='ShuffleNetV1', **(start['backbone'] or dict(groups=3, widen_factor=1.0))
            ),
            norm_eval=keep_statistics and bool(start['init_cfg']),
            init_cfg=start['stage4_init_cfg'],
        ),
        # every proposal runs through stage 4: with the 14x14 bins and 1000 proposals of ResNet C4
        # that would cost thirty times the backbone at 600 pixels, with these three times
        bbox_roi_extractor=dict(
            type='FP32SingleRoIExtractor', out_channels=widths[2], roi_layer=dict(output_size=7)
        ),
        bbox_head=dict(in_channels=widths[3], roi_feat_size=4),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=6000, max_per_img=1000)),
    test_cfg=dict(rpn=dict(nms_pre=3000, max_per_img=300)),
)
small_data_rate = 0.005  # of AdamW for 8 images a step, where tools/prepare_data.py inherits this
