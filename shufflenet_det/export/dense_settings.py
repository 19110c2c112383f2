"""What a one-stage detector does besides its network, read from the model itself.

:data:`FAMILIES` is the table: of each way to predict that MMDetection has, the class whose code it
is, and a function that reads what differs from model to model. Heads that inherit this code belong
to it, whatever they are called, and those that change it do not.
"""
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmdet.models import (
    DetDataPreprocessor,
    FoveaHead,
    GFLHead,
    PAAHead,
    RepPointsHead,
    SingleStageDetector,
    TOODHead,
    YOLOV3Head,
    YOLOXHead,
)
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder, MlvlPointGenerator
from mmdet.models.task_modules.coders import (
    DistancePointBBoxCoder,
    TBLRBBoxCoder,
    YOLOBBoxCoder,
)
from torch import Tensor, nn

from ..common.errors import ConfigError
from .dense_description import DenseSettings
from .refusing import (
    positive,
    predicts_as,
    read_nms,
    refusal,
    refuse_rest,
    require_type,
    same_code,
)

# large enough that every level has a place, also where convolutions are not padded
_PROBE = 320
_NO_LIMITS = dict(means=[0.0] * 4, stds=[1.0] * 4, most_log_ratio=None, most_shift=None)
_DISTANCES = dict(bins=0, exponential=False, of_size=False)
_MAX_LOG_RATIO = 4.135166556742356
"""Of ``DeltaXYWHBBoxCoder``: the logarithm of 1000 / 16."""
Cfg = dict[str, Any]
"""``test_cfg`` of a head; what a reader knows it takes out."""


Reader = Callable[[nn.Module, Cfg, int], Mapping[str, Any]]
"""Of a head, its ``test_cfg`` and the number of its results: fields of :class:`DenseSettings`."""


def _usual(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    """Most heads: RetinaNet, FCOS, ATSS, FSAF, VFNet, RTMDet, SSD, YOLOF and others."""
    if getattr(getattr(head, 'loss_cls', None), 'custom_cls_channels', False):
        raise refusal('bbox_head.loss_cls', type(head.loss_cls).__name__, 'sigmoid and softmax')
    return dict(
        score='sigmoid' if head.use_sigmoid_cls else 'softmax',
        factor='after' if results == 3 else None,
        most_scores=positive(cfg.pop('nms_pre', None), 'test_cfg.nms_pre'),
        **_limits(cfg),
        **_coding(head),
    )


def _distributions(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    found = _usual(head, cfg, results)
    return found | dict(
        coding=found['coding'] | dict(bins=head.reg_max),
        levels=_levels(head, [stride[0] for stride in head.prior_generator.strides]),
    )


def _aligned(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    return _usual(head, cfg, results) | dict(
        score=None,
        coding=dict(kind='corners', relative=False),
        border=None,
        levels=_levels(head, [stride[0] for stride in head.prior_generator.strides]),
    )


def _fovea(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    found = _usual(head, cfg, results)
    return found | dict(
        coding=found['coding'] | dict(exponential=True),
        border=1,
        levels=_levels(head, head.base_edge_list),
    )


def _points(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    return _usual(head, cfg, results) | dict(
        coding=dict(kind='corners', relative=True), levels=_levels(head, head.point_strides)
    )


def _voting(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    most = cfg.get('nms_pre', -1)
    cfg['nms_pre'] = 1
    found = _usual(head, cfg, results)
    return found | dict(
        factor='root',
        most_scores=None,
        most_priors=most if most > 0 else None,
        # it keeps boxes of any size
        min_size=None,
        voting=bool(head.with_score_voting),
    )


def _yolox(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    # it does not ask for these
    for name in ('max_per_img', 'min_bbox_size', 'nms_pre'):
        cfg.pop(name, None)
    levels = _levels(head)
    for level in levels:
        x, y = level['strides']
        level['priors'] = [[-x / 2, -y / 2, x / 2, y / 2]]
    return dict(
        levels=levels, factor='before', one_class=True, border=None,
        coding=dict(kind='deltas', **_NO_LIMITS),
        score_threshold=_from(cfg.pop('score_thr')),
    )  # fmt: skip


def _yolo(head: nn.Module, cfg: Cfg, results: int) -> dict[str, Any]:
    require_type('bbox_head.bbox_coder', head.bbox_coder, YOLOBBoxCoder)
    least = cfg.pop('conf_thr', -1)
    return dict(
        levels=_levels(head), joined=True, factor='after', border=None, coding=dict(kind='cells'),
        least_factor=least if least > 0 else None,
        most_in_all=positive(cfg.pop('nms_pre', None), 'test_cfg.nms_pre'),
        **_limits(cfg),
    )  # fmt: skip


FAMILIES: dict[type[nn.Module], Reader] = {
    BaseDenseHead: _usual,
    GFLHead: _distributions,
    TOODHead: _aligned,
    FoveaHead: _fovea,
    RepPointsHead: _points,
    PAAHead: _voting,
    YOLOXHead: _yolox,
    YOLOV3Head: _yolo,
}
"""By the class whose code predicts; see ``CONTRIBUTING.md`` for another one."""
# all that a head may change of how it predicts
_PREDICTION = (
    'predict', 'predict_by_feat', '_predict_by_feat_single', '_bbox_post_process', '_bbox_decode',
    'score_voting',
)  # fmt: skip


def is_dense(model: nn.Module) -> bool:
    """Whether a model is a one-stage detector that predicts boxes as MMDetection's do."""
    return predicts_as(type(model), SingleStageDetector)


@torch.no_grad()
def read_dense(model: SingleStageDetector) -> DenseSettings:
    """Settings of a one-stage detector.

    Raises:
        ConfigError: the model does something that cannot be exported.
    """
    require_type('data_preprocessor', model.data_preprocessor, DetDataPreprocessor)
    head = model.bbox_head
    reader = next((r for code, r in FAMILIES.items() if same_code(head, code, _PREDICTION)), None)
    if reader is None:
        known = ', '.join(code.__name__ for code in FAMILIES)
        raise ConfigError(
            f'cannot export bbox_head: how {type(head).__name__} makes boxes is not known to the '
            f'export, which knows what inherits the predictions of {known}. Test this detector '
            f'with PyTorch, or take a head that is known.'
        )
    maps = head(model.extract_feat(torch.zeros(1, 3, _PROBE, _PROBE)))
    cfg = dict(head.test_cfg or {})
    iou_threshold, class_agnostic = read_nms(cfg.pop('nms', None), 'test_cfg.nms')
    found = reader(head, cfg, len(maps))
    refuse_rest(cfg, 'test_cfg')
    settings = DenseSettings(
        num_classes=head.num_classes, iou_threshold=iou_threshold, class_agnostic=class_agnostic,
        **found,
    )  # fmt: skip
    _check_maps(settings, maps, type(head).__name__)
    return settings


def _check_maps(settings: DenseSettings, maps: tuple, name: str) -> None:
    """Refuse a head whose maps are not what the settings say."""
    numbers = 4 * (settings.coding.get('bins', 0) + 1)
    classes = settings.num_classes + (settings.score == 'softmax')
    widths = [numbers + 1 + classes] if settings.joined else [classes, numbers]
    if settings.factor and not settings.joined:
        widths.append(1)
    expected = [[len(lv['priors']) * width for lv in settings.levels] for width in widths]
    given = [[x.shape[1] if isinstance(x, Tensor) else None for x in levels] for levels in maps]
    if given != expected:
        raise ConfigError(
            f'cannot export bbox_head: {name} gives maps of {given} channels, and the export knows '
            f'{expected}.'
        )


def _limits(cfg: Cfg) -> dict[str, Any]:
    least = cfg.pop('min_bbox_size', -1)
    return dict(
        score_threshold=float(cfg.pop('score_thr', 0)),
        min_size=least if least >= 0 else None,
        max_per_img=positive(cfg.pop('max_per_img', None), 'test_cfg.max_per_img'),
    )


def _from(threshold: float) -> float:
    """What scores are above that are at least a threshold."""
    if not threshold:
        return -1.0
    return float(torch.nextafter(torch.tensor(threshold), torch.tensor(-1.0)))


def _levels(head: nn.Module, scales: list[float] | None = None) -> list[dict[str, Any]]:
    generator = head.prior_generator
    if same_code(generator, AnchorGenerator, ('single_level_grid_priors', 'grid_priors')):
        priors = [anchors.float().tolist() for anchors in generator.base_anchors]
    elif type(generator) is MlvlPointGenerator:
        offset = generator.offset
        priors = [[[x * offset, y * offset] * 2] for x, y in generator.strides]
    else:
        known = 'AnchorGenerator and MlvlPointGenerator'
        raise refusal('bbox_head.prior_generator', type(generator).__name__, known)
    scales = [1.0] * len(priors) if scales is None else scales
    return [
        dict(strides=[float(x) for x in stride], priors=base, scale=float(scale))
        for stride, base, scale in zip(generator.strides, priors, scales, strict=True)
    ]


def _coding(head: nn.Module) -> dict[str, Any]:
    """``coding``, ``border`` and ``levels`` of a box coder."""
    coder = getattr(head, 'bbox_coder', None)
    scales = None
    if type(coder) is DeltaXYWHBBoxCoder:
        coding = dict(
            kind='deltas', means=list(coder.means), stds=list(coder.stds),
            most_log_ratio=_MAX_LOG_RATIO,
            most_shift=coder.ctr_clamp if coder.add_ctr_clamp else None,
        )  # fmt: skip
    elif type(coder) is DistancePointBBoxCoder:
        coding = dict(kind='distances', order=[0, 1, 2, 3], **_DISTANCES)
    elif type(coder) is TBLRBBoxCoder and isinstance(coder.normalizer, float):
        coding = dict(kind='distances', order=[2, 0, 3, 1], **_DISTANCES | dict(of_size=True))
        scales = [coder.normalizer] * len(head.prior_generator.strides)
    else:
        known = 'DeltaXYWHBBoxCoder, DistancePointBBoxCoder and TBLRBBoxCoder'
        raise refusal('bbox_head.bbox_coder', type(coder).__name__, known)
    return dict(
        coding=coding, border=0 if coder.clip_border else None, levels=_levels(head, scales)
    )
