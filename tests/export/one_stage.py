"""Small one-stage detectors: one for each way to predict and each coder that the export knows."""
from mmdet.models import SingleStageDetector
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

STRIDES = (8, 16, 32)
CLASSES = 5
_PIXELS = dict(
    type='DetDataPreprocessor', mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395],
    bgr_to_rgb=True, pad_size_divisor=32,
)  # fmt: skip
_TEST = dict(nms_pre=60, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
             max_per_img=40)  # fmt: skip
_COMMON = dict(num_classes=CLASSES, in_channels=16, feat_channels=16)
_STACKED = dict(_COMMON, stacked_convs=1)
_GN = dict(norm_cfg=dict(type='GN', num_groups=4))
_POINTS = dict(_STACKED, strides=list(STRIDES), **_GN)
_SQUARES = dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1,
                strides=list(STRIDES))  # fmt: skip
_DISTANCES = dict(type='DistancePointBBoxCoder')
_DELTAS = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
_FOCAL = dict(type='FocalLoss', use_sigmoid=True)

HEADS = {
    'retinanet': dict(
        type='RetinaHead', **_STACKED, bbox_coder=_DELTAS,
        anchor_generator=dict(type='AnchorGenerator', octave_base_scale=3, scales_per_octave=2,
                              ratios=[0.5, 1.0, 2.0], strides=list(STRIDES)),
    ),
    'fcos': dict(type='FCOSHead', **_POINTS, norm_on_bbox=True,
                 regress_ranges=((-1, 64), (64, 128), (128, 1e8))),
    'atss': dict(type='ATSSHead', **_STACKED, **_GN, anchor_generator=_SQUARES, bbox_coder=_DELTAS,
                 loss_cls=_FOCAL),
    'gfl': dict(type='GFLHead', **_STACKED, **_GN, anchor_generator=_SQUARES, reg_max=7,
                loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True)),
    'fsaf': dict(type='FSAFHead', **_STACKED, reg_decoded_bbox=True, loss_cls=_FOCAL,
                 anchor_generator=dict(_SQUARES, octave_base_scale=1),
                 bbox_coder=dict(type='TBLRBBoxCoder', normalizer=4.0)),
    'rtmdet': dict(
        type='RTMDetSepBNHead', **_STACKED, exp_on_reg=True, with_objectness=False,
        bbox_coder=_DISTANCES, norm_cfg=dict(type='SyncBN'),
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=list(STRIDES)),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='GIoULoss'),
    ),
    'light': dict(
        type='LightRTMDetHead', **_STACKED, with_objectness=False, bbox_coder=_DISTANCES,
        norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'),
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=list(STRIDES)),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='GIoULoss'),
    ),
    'ssd': dict(
        type='SSDHead', num_classes=CLASSES, in_channels=(16, 16, 16), bbox_coder=_DELTAS,
        anchor_generator=dict(
            type='SSDAnchorGenerator', scale_major=False, strides=list(STRIDES),
            ratios=[[2], [2, 3], [2, 3]], min_sizes=[16, 40, 80], max_sizes=[40, 80, 120],
        ),
    ),
    'yolof': dict(
        type='YOLOFHead', num_classes=CLASSES, in_channels=16, num_cls_convs=1, num_reg_convs=1,
        anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[1, 2, 4],
                              strides=[32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', add_ctr_clamp=True, ctr_clamp=4),
        loss_cls=_FOCAL,
    ),
    'foveabox': dict(type='FoveaHead', **_POINTS, base_edge_list=[16, 32, 64],
                     scale_ranges=((1, 32), (16, 64), (32, 128))),
    'tood': dict(type='TOODHead', **dict(_STACKED, stacked_convs=2), **_GN, num_dcn=0,
                 anchor_type='anchor_free', anchor_generator=_SQUARES, bbox_coder=_DELTAS,
                 initial_loss_cls=_FOCAL, loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True,
                                                        activated=True)),
    'vfnet': dict(type='VFNetHead', **_POINTS, regress_ranges=((-1, 64), (64, 128), (128, 1e8)),
                  anchor_generator=dict(_SQUARES, center_offset=0.0)),
    'reppoints': dict(type='RepPointsHead', **_STACKED, **_GN, point_feat_channels=16,
                      point_strides=list(STRIDES), point_base_scale=2),
    'paa': dict(type='PAAHead', **_STACKED, **_GN, anchor_generator=_SQUARES, bbox_coder=_DELTAS,
                loss_cls=_FOCAL, reg_decoded_bbox=True, score_voting=True),
    'yolox': dict(type='YOLOXHead', **_STACKED, strides=list(STRIDES)),
    'yolov3': dict(
        type='YOLOV3Head', num_classes=CLASSES, in_channels=[16] * 3, out_channels=[16] * 3,
        anchor_generator=dict(
            type='YOLOAnchorGenerator', strides=list(STRIDES),
            base_sizes=[[(10, 13), (16, 30)], [(30, 61), (62, 45)], [(70, 50), (56, 80)]],
        ),
        featmap_strides=list(STRIDES),
    ),
}  # fmt: skip
_TESTS = dict(
    yolox=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6)),
    yolov3=dict(_TEST, conf_thr=0.2),
    # as one network of which all classes together are suppressed
    foveabox=dict(_TEST, nms=dict(type='nms', iou_threshold=0.5, class_agnostic=True)),
)


def detector_cfg(family: str, **options: object) -> dict:
    """Config of a model; options are those of its head, or ``test_cfg``."""
    head = dict(HEADS[family])
    test = dict(_TESTS.get(family, _TEST), **options.pop('test_cfg', {}))
    head.update(options)
    indices = (3,) if family == 'yolof' else (1, 2, 3)
    channels = [30 * 2**index for index in indices]
    return dict(
        type='SingleStageDetector',
        data_preprocessor=dict(_PIXELS),
        backbone=dict(type='ShuffleNetV1', groups=3, widen_factor=0.25, out_indices=indices),
        neck=dict(type='FPN', in_channels=channels, out_channels=16, num_outs=len(indices)),
        bbox_head=head,
        test_cfg=test,
    )


def build(family: str, **options: object) -> SingleStageDetector:
    """A small detector in evaluation mode, with its initial weights."""
    return MODELS.build(ConfigDict(detector_cfg(family, **options))).eval()
