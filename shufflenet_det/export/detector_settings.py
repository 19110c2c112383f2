"""What a two-stage detector does besides its networks, read from the model itself.

Everything that changes a prediction is either read here or refused: an exported detector that
differs from MMDetection's in silence would be worse than none.
"""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmcv.ops import RoIAlign
from mmdet.models import (
    BBoxHead,
    DetDataPreprocessor,
    FasterRCNN,
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
        raise _refusal('rpn_head', type(head).__name__, 'RPNHead and LightRPNHead')
    _require_type('rpn_head.anchor_generator', head.prior_generator, AnchorGenerator)
    _check_coder('rpn_head.bbox_coder', head.bbox_coder)
    if not head.use_sigmoid_cls:
        raise _refusal('rpn_head.loss_cls', 'use_sigmoid=False', 'use_sigmoid=True')
    cfg = dict(head.test_cfg)
    place = 'test_cfg.rpn'
    nms_pre = cfg.pop('nms_pre', -1)
    iou_threshold, class_agnostic = _read_nms(cfg.pop('nms', None), f'{place}.nms')
    if class_agnostic:
        raise _refusal(f'{place}.nms', 'class_agnostic=True', 'class_agnostic=False')
    min_size = cfg.pop('min_bbox_size', -1)
    max_per_img = _positive(cfg.pop('max_per_img', None), f'{place}.max_per_img')
    _refuse_rest(cfg, place)
    return ProposalSettings(
        nms_pre=nms_pre if nms_pre > 0 else 2**31 - 1,
        iou_threshold=iou_threshold,
        max_per_img=max_per_img,
        min_size=min_size if min_size >= 0 else None,
    )


def read_detection_settings(roi_head: StandardRoIHead) -> DetectionSettings:
    """Settings of an RoI head.

    Raises:
        ConfigError: the head does something that cannot be exported.
    """
    _require_type('roi_head', roi_head, StandardRoIHead)
    if roi_head.with_mask:
        raise _refusal('roi_head', 'a mask head', 'one with boxes alone')
    extractor, head = roi_head.bbox_roi_extractor, roi_head.bbox_head
    _require_type('bbox_roi_extractor', extractor, SingleRoIExtractor, FP32SingleRoIExtractor)
    for layer in extractor.roi_layers:
        _require_type('bbox_roi_extractor.roi_layer', layer, RoIAlign)
        if layer.pool_mode != 'avg':
            raise _refusal('roi_layer.pool_mode', repr(layer.pool_mode), "'avg'")
    _check_box_head(head)
    cfg = dict(roi_head.test_cfg)
    place = 'test_cfg.rcnn'
    iou_threshold, class_agnostic = _read_nms(cfg.pop('nms', None), f'{place}.nms')
    settings = DetectionSettings(
        score_threshold=cfg.pop('score_thr', 0.0),
        iou_threshold=iou_threshold,
        max_per_img=_positive(cfg.pop('max_per_img', None), f'{place}.max_per_img'),
        class_agnostic=class_agnostic,
    )
    # of mask heads, which there are none of
    cfg.pop('mask_thr_binary', None)
    _refuse_rest(cfg, place)
    return settings


def check_detector(model: nn.Module) -> None:
    """Refuse detectors that are not Faster R-CNN in MMDetection's own way.

    Raises:
        ConfigError: it is another kind of detector, or its preprocessor is.
    """
    _require_type('model', model, FasterRCNN, TwoStageDetector)
    if not (model.with_rpn and model.with_roi_head):
        raise _refusal('model', 'a detector without RPN or RoI head', 'Faster R-CNN')
    _require_type('data_preprocessor', model.data_preprocessor, DetDataPreprocessor)


def _check_box_head(head: BBoxHead) -> None:
    own = ('_predict_by_feat_single', 'predict_by_feat')
    known = isinstance(head, BBoxHead) and all(
        getattr(type(head), name) is getattr(BBoxHead, name) for name in own
    )
    if not known or type(head).forward not in (BBoxHead.forward, ConvFCBBoxHead.forward):
        raise _refusal('bbox_head', type(head).__name__, 'BBoxHead and ConvFCBBoxHead')
    if not (head.with_cls and head.with_reg):
        raise _refusal('bbox_head', 'one without classes or boxes', 'both')
    if head.custom_cls_channels:
        raise _refusal('bbox_head.loss_cls', type(head.loss_cls).__name__, 'softmax scores')
    _check_coder('bbox_head.bbox_coder', head.bbox_coder)


def _check_coder(place: str, coder: object) -> None:
    _require_type(place, coder, DeltaXYWHBBoxCoder)
    if coder.add_ctr_clamp or not coder.clip_border:
        raise _refusal(place, 'add_ctr_clamp or no clip_border', 'boxes clipped to the image')


def _read_nms(cfg: Mapping[str, Any] | None, place: str) -> tuple[float, bool]:
    if not cfg:
        raise _refusal(place, 'none', "type='nms'")
    cfg = dict(cfg)
    kind = cfg.pop('type', 'nms')
    if kind != 'nms':
        raise _refusal(place, f'type={kind!r}', "type='nms'")
    iou_threshold = cfg.pop('iou_threshold', None)
    if iou_threshold is None:
        raise ConfigError(f'{place} has no iou_threshold.')
    class_agnostic = cfg.pop('class_agnostic', False)
    # where many boxes are suppressed group by group; the groups are apart in any case
    cfg.pop('split_thr', None)
    _refuse_rest(cfg, place)
    return float(iou_threshold), bool(class_agnostic)


def _positive(value: int | None, place: str) -> int:
    if value is None or value < 1:
        raise _refusal(place, str(value), '1 or more')
    return int(value)


def _refuse_rest(cfg: Mapping[str, Any], place: str) -> None:
    if cfg:
        raise ConfigError(
            f'the export does not know {", ".join(f"{place}.{key}" for key in cfg)}: take it out '
            f'of the config, or test the detector with PyTorch.'
        )


def _require_type(place: str, value: object, *types: type) -> None:
    if type(value) not in types:
        known = ' and '.join(kind.__name__ for kind in types)
        raise _refusal(place, type(value).__name__, known)


def _refusal(place: str, found: str, known: str) -> ConfigError:
    return ConfigError(f'cannot export {place}: it is {found}, the export knows {known}.')
