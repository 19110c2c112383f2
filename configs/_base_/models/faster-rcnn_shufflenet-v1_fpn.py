# Faster R-CNN with a feature pyramid: what people choose today.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'
from shufflenet_det.weights.start import level_channels, start_from  # noqa: E402

# An ImageNet checkpoint: a name such as shufflenet://authors-0.5x-g3, a path or an address; with
# none the detector trains from scratch. What the weights say of themselves (groups, widths, order
# of the shuffle, pixels) stands in for what is written below.
pretrained = '{{$SHUFFLENET_PRETRAINED:none}}'
keep_statistics = True  # of pretrained batch norms: 4 images a GPU are too few for new ones
start = start_from(pretrained)
widths = level_channels(start, groups=3, widen_factor=1.0)

model = dict(
    data_preprocessor=start['pixels'],
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV1',
        **(start['backbone'] or dict(groups=3, widen_factor=1.0)),
        out_indices=(0, 1, 2, 3),
        norm_eval=keep_statistics and bool(start['init_cfg']),
        init_cfg=start['init_cfg'],
    ),
    neck=dict(in_channels=widths),
    roi_head=dict(bbox_roi_extractor=dict(type='FP32SingleRoIExtractor')),
)
