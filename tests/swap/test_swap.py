"""A backbone exchanged in MMDetection's configs: what follows, what stays, what is refused."""
import copy

import shufflenet_det
from shufflenet_det.common.config_differences import plain
from shufflenet_det.models import ShuffleNetV1
from shufflenet_det.swap import SwapError, plan_swap, trial

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

from ..conftest import ROOT

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def shipped(name: str) -> Config:
    return get_config(f'mmdet::{name}')


def keys_of(swap) -> set[str]:
    return {change.key for change in swap.changes}


def test_only_what_follows_from_the_backbone_changes():
    swap = plan_swap('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    assert keys_of(swap) == {'model.backbone', 'model.neck.in_channels', 'custom_imports'}
    model = swap.cfg.model
    assert model.backbone == dict(
        type='ShuffleNetV1', groups=3, widen_factor=1.0, out_indices=(0, 1, 2, 3)
    )
    assert model.neck.in_channels == [24, 240, 480, 960]
    assert swap.cfg.custom_imports.imports == ['shufflenet_det']


def test_config_that_is_given_is_not_changed():
    cfg = shipped('retinanet/retinanet_r50_fpn_1x_coco.py')
    before = copy.deepcopy(plain(cfg))
    shufflenet_det.swap_backbone(cfg)
    assert plain(cfg) == before


@pytest.mark.parametrize(
    ('name', 'backbone', 'channels'),
    [
        ('yolo/yolov3_d53_8xb8-320-273e_coco.py', 'shufflenet-v1-1x-g3', [960, 480, 240]),
        ('yolox/yolox_tiny_8xb8-300e_coco.py', 'shufflenet-v1-0.5x-g3', [120, 240, 480]),
        ('yolof/yolof_r50-c5_8xb8-1x_coco.py', 'mobilenet-v1-0.5', 512),
        ('centernet/centernet_r18_8xb16-crop512-140e_coco.py', 'shufflenet-v1-0.5x-g8', 768),
        ('retinanet/retinanet_r18_fpn_1x_coco.py', 'shufflenet-v1-2x-g3', [48, 480, 960, 1920]),
    ],
)
def test_neck_gets_the_channels_at_the_strides_that_it_had(name, backbone, channels):
    assert plan_swap(f'mmdet::{name}', backbone).cfg.model.neck.in_channels == channels


def test_levels_are_chosen_by_stride_not_by_index():
    """The last level of a dilated ResNet has stride 16, those of SSD's VGG 8 and 16."""
    dilated = plan_swap('mmdet::faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py').cfg.model
    assert dilated.backbone.out_indices == (2,)
    assert dilated.rpn_head.in_channels == 480
    assert dilated.roi_head.bbox_roi_extractor.out_channels == 480
    assert dilated.roi_head.bbox_head.in_channels == 480
    ssd = plan_swap('mmdet::ssd/ssd300_coco.py').cfg.model
    assert ssd.backbone.out_indices == (1, 2)
    assert ssd.bbox_head.in_channels[:3] == (240, 480, 512)


def test_levels_beyond_those_of_the_backbone_are_added_before_the_neck():
    cfg = shipped('rtmdet/rtmdet_x_p6_4xb8-300e_coco.py')
    cfg.model.backbone.norm_cfg = dict(type='SyncBN')
    model = plan_swap(cfg).cfg.model
    extra, neck = model.neck
    assert model.backbone.out_indices == (1, 2, 3)
    assert extra == dict(
        type='ExtraLevels', in_channels=960, num_levels=1, norm_cfg=dict(type='SyncBN')
    )
    assert neck.in_channels == [240, 480, 960, 960]


def test_groups_of_norm_are_those_that_divide_the_new_channels():
    cfg = shipped('rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py')
    model = plan_swap(cfg).cfg.model
    assert model.neck.norm_cfg == dict(type='GN', num_groups=8)
    assert model.bbox_head.norm_cfg == dict(type='GN', num_groups=32)


def test_c4_detector_gets_the_next_stage_as_its_shared_head():
    swap = plan_swap('mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py', 'shufflenet-v1-1x-g8')
    model = swap.cfg.model
    assert model.backbone.out_indices == (2,)
    assert model.roi_head.shared_head.type == 'SharedRoIStage'
    assert model.roi_head.shared_head.backbone.groups == 8
    assert model.rpn_head.in_channels == model.roi_head.bbox_roi_extractor.out_channels == 768
    assert model.roi_head.bbox_head.in_channels == model.roi_head.mask_head.in_channels == 1536


def test_preprocessing_is_that_of_the_new_backbone():
    """caffe's BGR without standard deviation, and YOLOX's raw pixels, become ImageNet's RGB."""
    for name in (
        'faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco.py',
        'yolox/yolox_tiny_8xb8-300e_coco.py',
    ):
        preprocessor = plan_swap(f'mmdet::{name}').cfg.model.data_preprocessor
        assert {key: preprocessor[key] for key in IMAGENET} == IMAGENET
    assert preprocessor.batch_augments, 'settings that have nothing to do with it stay'


def test_preprocessing_inside_a_semi_supervised_detector_changes_too():
    name = 'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py'
    model = plan_swap(f'mmdet::{name}').cfg.model
    for preprocessor in (
        model.data_preprocessor.data_preprocessor, model.detector.data_preprocessor
    ):
        assert {key: preprocessor[key] for key in IMAGENET} == IMAGENET
    assert 'mean' not in model.data_preprocessor


def test_what_belonged_to_the_old_backbone_is_taken_out():
    cfg = plan_swap(
        'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py'
    ).cfg
    assert 'constructor' not in cfg.optim_wrapper and 'paramwise_cfg' not in cfg.optim_wrapper
    assert cfg.custom_imports.imports == ['shufflenet_det']
    cfg = plan_swap('mmdet::cityscapes/faster-rcnn_r50_fpn_1x_cityscapes.py').cfg
    assert cfg.load_from is None
    cfg = plan_swap('mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py').cfg
    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    assert keys['backbone']['lr_mult'] == 0.1 and 'query_embed' in keys
    assert not any(key.startswith('backbone.') for key in keys)


def test_synchronised_batch_norm_stays():
    cfg = shipped('retinanet/retinanet_r50_fpn_1x_coco.py')
    cfg.model.backbone.norm_cfg = dict(type='SyncBN', requires_grad=False)
    cfg.model.backbone.with_cp = True
    backbone = plan_swap(cfg).cfg.model.backbone
    assert backbone.norm_cfg == dict(type='SyncBN')
    assert backbone.with_cp is True
    # torchvision's layers take neither
    assert plan_swap(cfg, 'alexnet').cfg.model.backbone == dict(
        type='AlexNet', out_indices=(0, 1, 2, 3)
    )
    # what is asked for comes before what was there
    own = dict(type='ShuffleNetV1', norm_cfg=dict(type='BN', momentum=0.03), with_cp=False)
    backbone = plan_swap(cfg, own).cfg.model.backbone
    assert backbone.norm_cfg.momentum == 0.03 and backbone.with_cp is False


def test_synchronised_batch_norm_reaches_the_shared_stage():
    cfg = shipped('faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py')
    cfg.model.backbone.norm_cfg = dict(type='SyncBN')
    shared = plan_swap(cfg).cfg.model.roi_head.shared_head
    assert shared.backbone.norm_cfg == dict(type='SyncBN')


def test_model_without_preprocessor_gets_one():
    cfg = shipped('retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg.model.data_preprocessor = None
    preprocessor = plan_swap(cfg).cfg.model.data_preprocessor
    assert preprocessor == dict(type='DetDataPreprocessor', **IMAGENET)


# --- every family of detectors -------------------------------------------------------------------

FAMILIES = [
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
    'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    pytest.param('htc/htc_r50_fpn_1x_coco.py', marks=pytest.mark.slow),
    pytest.param('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py', marks=pytest.mark.slow),
    'retinanet/retinanet_r18_fpn_1x_coco.py',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'gfl/gfl_r50_fpn_1x_coco.py',
    'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',
    'yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py',
    'yolox/yolox_tiny_8xb8-300e_coco.py',
    'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'centernet/centernet_r18_8xb16-crop512-140e_coco.py',
    'solov2/solov2-light_r18_fpn_ms-3x_coco.py',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco.py',
    pytest.param(
        'mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py', marks=pytest.mark.slow
    ),
    'masktrack_rcnn/masktrack-rcnn_mask-rcnn_r50_fpn_8xb1-12e_youtubevis2019.py',
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py',
]


@pytest.mark.parametrize('name', FAMILIES, ids=lambda name: name.split('/')[0])
def test_every_family_trains_a_step_and_predicts_after_the_swap(name):
    cfg = plan_swap(f'mmdet::{name}', 'shufflenet-v1-0.25x-g3').cfg
    model = trial.build(cfg)
    trial.train_and_predict(cfg, model)
    assert any(isinstance(module, ShuffleNetV1) for module in model.modules())


@pytest.mark.parametrize('name', ['mobilenet-v1-0.25', 'resnext-like-13', 'googlenet', 'alexnet'])
def test_other_backbones_of_the_package_are_put_in_as_well(name):
    cfg = plan_swap(RETINANET, name).cfg
    trial.train_and_predict(cfg, trial.build(cfg))


def test_name_means_our_network_in_another_scope():
    """mmpretrain has a ShuffleNetV1 of its own, which a bare name would find there."""
    cfg = shipped('retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg.default_scope = 'mmyolo'
    assert plan_swap(cfg).cfg.model.backbone.type == 'mmdet.ShuffleNetV1'


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py', 'strides 4, 4'),
        ('tridentnet/tridentnet_r50-caffe_1x_coco.py', 'three branches'),
        ('detectors/cascade-rcnn_r50-rfp_1x_coco.py', 'a second time'),
        ('grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco.py', 'language model'),
        ('reid/reid_r50_8xb32-6e_mot15train80_test-mot15val20.py', 'no detector'),
        ('misc/d2_retinanet_r50-caffe_fpn_ms-90k_coco.py', 'no `backbone`'),
    ],
)
def test_swap_without_a_meaning_is_refused_with_the_reason(name, reason):
    cfg = shipped(name)
    before = copy.deepcopy(plain(cfg))
    with pytest.raises(SwapError, match=reason):
        plan_swap(cfg)
    assert plain(cfg) == before


@pytest.mark.parametrize('scope', [None, 'mmpretrain'])
def test_classifier_is_refused(scope):
    cfg = Config.fromfile(ROOT / 'configs' / 'imagenet' / 'shufflenet-v1-1x-g3_in1k.py')
    cfg.default_scope = scope
    with pytest.raises(SwapError, match='ImageClassifier is a classifier, not a detector'):
        plan_swap(cfg)


def test_detector_of_lines_is_refused():
    """CLRNet, which only OneDL's MMDetection has."""
    resnet = dict(type='ResNet', depth=50)
    cfg = Config(dict(model=dict(type='CLRNet', backbone=resnet, neck=dict(type='CLRFPN'))))
    with pytest.raises(SwapError, match='CLRNet finds lines.*line_nms'):
        plan_swap(cfg)


def test_backbone_without_a_level_that_is_needed_is_refused():
    with pytest.raises(SwapError, match='SqueezeNet has levels at strides 4, 8, 16, none at 32'):
        plan_swap(RETINANET, 'squeezenet')


def test_neck_that_does_not_tell_what_it_takes_is_refused():
    cfg = shipped('retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg.model.neck.in_channels = [1, 2, 3, 4]
    with pytest.raises(SwapError, match='in_channels=.1, 2, 3, 4.'):
        plan_swap(cfg)


@MODELS.register_module()
class Doubling(torch.nn.Module):
    """A neck of a user: it has no ``in_channels``, and hands on what it gets."""

    def forward(self, maps):
        return tuple(torch.cat([m, m], dim=1) for m in maps)


def test_neck_of_a_user_that_hands_channels_on_is_measured():
    cfg = shipped('retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg.model.neck = ConfigDict(type='Doubling')
    cfg.model.bbox_head.in_channels = [128, 256, 512, 1024]
    assert plan_swap(cfg).cfg.model.bbox_head.in_channels == [48, 480, 960, 1920]
    cfg.model.bbox_head.in_channels = 256
    with pytest.raises(SwapError, match='cannot be told'):
        plan_swap(cfg)


@pytest.mark.parametrize('name', [
    'ld/ld_r18-gflv1-r101_fpn_1x_coco.py', 'lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py',
])  # fmt: skip
def test_teacher_does_not_get_the_pixels_of_another_network(name):
    cfg = shipped(name)
    assert plan_swap(cfg).changes, 'the same pixels: no objection'
    cfg.model.data_preprocessor.mean = [0, 0, 0]
    with pytest.raises(SwapError, match='another trained network .teacher_'):
        plan_swap(cfg)
