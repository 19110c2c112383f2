"""What a two-stage detector does besides its networks, read from the model itself.

Everything that changes a prediction is either read here or refused: an exported detector that
differs from MMDetection's in silence would be worse than none.
"""
from dataclasses import dataclass

from mmcv.ops import RoIAlign
from mmdet.models import (
    BBoxHead,
    CascadeRoIHead,
    DetDataPreprocessor,
    RPNHead,
    SingleRoIExtractor,
    StandardRoIHead,
    TwoStageDetector,
)
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder
from torch import nn

from ..common.errors import ConfigError
from ..models import FP32SingleRoIExtractor, LightRPNHead
from .refusing import (
    positive,
    predicts_as,
    read_nms,
    refusal,
    refuse_rest,
    require_type,
    same_code,
)

_OTHERS = (
    'cannot export model: {} is no detector that makes boxes as the export knows it. One-stage '
    'detectors (RetinaNet, FCOS, ATSS, GFL, RTMDet, YOLOX, YOLOv3, SSD, their kin), Faster '
    'R-CNN and Cascade R-CNN can be exported; detectors of masks, of tracks, with queries as in '
    'DETR, or with test-time augmentation are tested with PyTorch.'
)


@dataclass(frozen=True)
class ProposalSettings:
    """How anchors become proposals (``test_cfg.rpn``).

    Attributes:
        nms_pre: most anchors of a level that are considered.
        iou_threshold: of non-maximum suppression.
        max_per_img: most proposals.
        min_size: boxes must be wider and higher than this many pixels; None for any size.
    """

    nms_pre: int
    iou_threshold: float
    max_per_img: int
    min_size: float | None


@dataclass(frozen=True)
class DetectionSettings:
    """How class scores and deltas become detections (``test_cfg.rcnn``).

    Attributes:
        score_threshold: detections have a higher score.
        iou_threshold: of non-maximum suppression, which is done for each class on its own unless
            ``class_agnostic``.
        max_per_img: most detections.
        class_agnostic: whether boxes suppress those of other classes.
    """

    score_threshold: float
    iou_threshold: float
    max_per_img: int
    class_agnostic: bool


def read_proposal_settings(head: RPNHead) -> ProposalSettings:
    """Settings of an RPN.

    Raises:
        ConfigError: the head does something that cannot be exported.
    """
    if type(head) not in (RPNHead, LightRPNHead):
        raise refusal('rpn_head', type(head).__name__, 'RPNHead and LightRPNHead')
    require_type('rpn_head.anchor_generator', head.prior_generator, AnchorGenerator)
    _check_coder('rpn_head.bbox_coder', head.bbox_coder)
    if not head.use_sigmoid_cls:
        raise refusal('rpn_head.loss_cls', 'use_sigmoid=False', 'use_sigmoid=True')
    cfg = dict(head.test_cfg)
    place = 'test_cfg.rpn'
    nms_pre = cfg.pop('nms_pre', -1)
    iou_threshold, class_agnostic = read_nms(cfg.pop('nms', None), f'{place}.nms')
    if class_agnostic:
        raise refusal(f'{place}.nms', 'class_agnostic=True', 'class_agnostic=False')
    min_size = cfg.pop('min_bbox_size', -1)
    max_per_img = positive(cfg.pop('max_per_img', None), f'{place}.max_per_img')
    refuse_rest(cfg, place)
    return ProposalSettings(
        nms_pre=nms_pre if nms_pre > 0 else 2**31 - 1,
        iou_threshold=iou_threshold,
        max_per_img=max_per_img,
        min_size=min_size if min_size >= 0 else None,
    )


def read_detection_settings(roi_head: StandardRoIHead | CascadeRoIHead) -> DetectionSettings:
    """Settings of an RoI head.

    Raises:
        ConfigError: the head does something that cannot be exported.
    """
    if not (
        _predicts_as(roi_head, StandardRoIHead, '_bbox_forward')
        or _predicts_as(roi_head, CascadeRoIHead, '_bbox_forward', '_refine_roi')
    ):
        raise refusal(
            'roi_head', type(roi_head).__name__,
            'what predicts as StandardRoIHead or CascadeRoIHead does',
        )  # fmt: skip
    if roi_head.with_mask or getattr(roi_head, 'with_semantic', False):
        raise refusal('roi_head', 'one with masks', 'one with boxes alone')
    extractors = stages_of(roi_head, 'bbox_roi_extractor')
    for extractor in extractors:
        require_type(
            'bbox_roi_extractor', extractor, SingleRoIExtractor, FP32SingleRoIExtractor
        )
        for layer in extractor.roi_layers:
            require_type('bbox_roi_extractor.roi_layer', layer, RoIAlign)
            if layer.pool_mode != 'avg':
                raise refusal('roi_layer.pool_mode', repr(layer.pool_mode), "'avg'")
    if len({_pooling(extractor) for extractor in extractors}) > 1:
        raise refusal('bbox_roi_extractor', 'different in stages of the cascade', 'the same')
    for head in stages_of(roi_head, 'bbox_head'):
        _check_box_head(head)
    cfg = dict(roi_head.test_cfg)
    place = 'test_cfg.rcnn'
    iou_threshold, class_agnostic = read_nms(cfg.pop('nms', None), f'{place}.nms')
    settings = DetectionSettings(
        score_threshold=cfg.pop('score_thr', 0.0),
        iou_threshold=iou_threshold,
        max_per_img=positive(cfg.pop('max_per_img', None), f'{place}.max_per_img'),
        class_agnostic=class_agnostic,
    )
    # of mask heads, which there are none of
    cfg.pop('mask_thr_binary', None)
    refuse_rest(cfg, place)
    return settings


def stages_of(roi_head: nn.Module, name: str) -> list[nn.Module]:
    """A part of an RoI head as a list, which in a cascade it is."""
    part = getattr(roi_head, name)
    return list(part) if isinstance(part, nn.ModuleList) else [part]


def _predicts_as(roi_head: nn.Module, code: type[nn.Module], *names: str) -> bool:
    names = ('predict', 'predict_bbox', *names)
    return isinstance(roi_head, code) and same_code(roi_head, code, names)


def _pooling(extractor: nn.Module) -> str:
    layers = [(x.output_size, x.spatial_scale, x.sampling_ratio, x.aligned)
              for x in extractor.roi_layers]  # fmt: skip
    return repr((layers, extractor.finest_scale))


def check_detector(model: nn.Module) -> None:
    """Refuse detectors that are neither Faster nor Cascade R-CNN in MMDetection's own way.

    Raises:
        ConfigError: it is another kind of detector, or its preprocessor is.
    """
    check_kind(type(model), model.with_mask)
    if not (model.with_rpn and model.with_roi_head):
        raise refusal('model', 'a detector without RPN or RoI head', 'Faster R-CNN')
    require_type('data_preprocessor', model.data_preprocessor, DetDataPreprocessor)


def check_kind(detector: type[nn.Module], masks: bool) -> None:
    """Refuse a class of detectors that is neither, and masks.

    Raises:
        ConfigError: says what is refused, and what works in its place.
    """
    if not predicts_as(detector, TwoStageDetector):
        raise ConfigError(_OTHERS.format(detector.__name__))
    if masks:
        raise ConfigError(
            f'cannot export model: {detector.__name__} predicts masks, and the export knows boxes. '
            f'Train the detector without its mask head, as Faster or Cascade R-CNN, or test it '
            f'with PyTorch.'
        )


def _check_box_head(head: BBoxHead) -> None:
    own = ('_predict_by_feat_single', 'predict_by_feat')
    known = isinstance(head, BBoxHead) and all(
        getattr(type(head), name) is getattr(BBoxHead, name) for name in own
    )
    if not known or type(head).forward not in (BBoxHead.forward, ConvFCBBoxHead.forward):
        raise refusal('bbox_head', type(head).__name__, 'BBoxHead and ConvFCBBoxHead')
    if not (head.with_cls and head.with_reg):
        raise refusal('bbox_head', 'one without classes or boxes', 'both')
    if head.custom_cls_channels:
        raise refusal('bbox_head.loss_cls', type(head.loss_cls).__name__, 'softmax scores')
    _check_coder('bbox_head.bbox_coder', head.bbox_coder)


def _check_coder(place: str, coder: object) -> None:
    require_type(place, coder, DeltaXYWHBBoxCoder)
    if coder.add_ctr_clamp or not coder.clip_border:
        raise refusal(place, 'add_ctr_clamp or no clip_border', 'boxes clipped to the image')
