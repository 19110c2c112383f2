"""Another backbone in a detector's config, with all that follows from it."""
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from ..common.config import arguments_of, load_config
from ..common.config_differences import Change, differences
from ..models import backbones
from ..weights import Description
from .backbone import choose_backbone, preprocessing_for, pretrained
from .channels import correct_channels, measure_backbone, type_name
from .levels import Levels, SwapError, build_without_weights, levels_at, run
from .preprocessing import (
    drop_old_optimisation,
    drop_old_weights,
    import_package,
    set_preprocessing,
)

# of the old backbone's settings these mean the same in any other
_KEPT = ('with_cp',)
_NOTHING = 'nothing differs: the config has this backbone already, with what follows from it'


@dataclass(frozen=True)
class Swap:
    """What an exchange of the backbone came to.

    Attributes:
        cfg: the new config.
        changes: every setting that differs from the old config; none if that has this backbone,
            with these weights, already.
    """

    cfg: Config
    changes: list[Change]

    def __str__(self) -> str:
        return '\n'.join(map(str, self.changes)) or _NOTHING


def plan_swap(
    cfg: str | Path | Config,
    backbone: str | Mapping | None = None,
    checkpoint: str | None = None,
) -> Swap:
    """As :func:`swap_backbone`, with an account of what was changed.

    Args and errors are those of :func:`swap_backbone`.
    """
    old = load_config(str(cfg)) if isinstance(cfg, (str, Path)) else cfg
    if not isinstance(old, Config):
        raise SwapError(f'give a config file, a name or a Config, not {type(old).__name__}.')
    scope = old.get('default_scope') or 'mmdet'
    new = copy.deepcopy(old)
    with DefaultScope.overwrite_default_scope(scope):
        detector = _find_detector(new)
        _refuse_what_cannot_be(new, detector)
        chosen, weights = choose_backbone(backbone, checkpoint)
        pixels = preprocessing_for(chosen, weights)
        before = measure_backbone(detector.backbone, 'the old backbone')
        indices, missing = levels_at(dict(chosen, type=f'mmdet.{chosen["type"]}'), before.strides)
        # in another scope the name alone would find another network, mmpretrain's for example
        kind = chosen['type'] if scope == 'mmdet' else f'mmdet.{chosen["type"]}'
        kept = _kept(detector.backbone, chosen['type'], weights is not None)
        if weights is not None and old.get('keep_statistics'):
            # C4 and FPN of this package keep the statistics of whatever they start from
            kept['norm_eval'] = True
        chosen = dict(chosen, type=kind)
        placed = dict({**kept, **chosen}, out_indices=indices)
        after = measure_backbone(placed, 'the new backbone')
        detector.backbone = ConfigDict(placed)
        if weights is not None:
            detector.backbone.init_cfg = ConfigDict(pretrained(checkpoint, weights))
        kept.pop('norm_eval', None)  # which a shared stage has for itself
        shared = _shared_stage({**kept, **chosen}, indices, checkpoint, weights, detector)
        extra = _extra_levels(missing, after, kept, kind)
        if extra:
            module = build_without_weights(extra, 'the extra levels')
            after = run(module, after.maps, what='the extra levels')
        correct_channels(detector, before, after, shared)
        if extra:
            _put_before_the_neck(extra, detector)
        names = [name for name, _ in MODELS.build(placed).named_parameters()]
    drop_old_weights(new, new.model, detector)
    set_preprocessing(new.model, detector, pixels)
    drop_old_optimisation(new, names)
    import_package(new)
    return Swap(new, differences(old, new))


def swap_backbone(
    cfg: str | Path | Config,
    backbone: str | Mapping | None = None,
    checkpoint: str | None = None,
) -> Config:
    """Exchange the backbone in the config of any MMDetection detector.

    Neck, heads and shared RoI stage get the channels of the new backbone, at the strides that they
    had; the preprocessor gets what the weights need; what belonged to the old backbone (its
    weights, a detector's weights in ``load_from``, learning rates by layer) is taken out;
    everything else stays. Each change is logged.

    Args:
        cfg: a file, a name such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``, or a config,
            which is not changed.
        backbone: a name of the zoo such as ``shufflenet-v1-1x-g3``
            (:func:`~shufflenet_det.swap.backbone_names`), a ``type``, or the config of a backbone
            of this package. By default that of the checkpoint, or ``shufflenet-v1-1x-g3``.
        checkpoint: pretrained weights for it: a ``shufflenet://`` name that
            ``tools/convert_weights.py --list`` prints, a file that it writes, or an address.

    Returns:
        The new config.

    Raises:
        SwapError: the exchange has no meaning for this model, or what takes the features cannot
            be told; the message says which and why. A :class:`ConfigError`.
        ConfigError: the config cannot be read, or there is no such backbone.
        CheckpointError: the weights cannot be read.
    """
    swap = plan_swap(cfg, backbone, checkpoint)
    for line in str(swap).splitlines():
        print_log(line, logger='current')
    return swap.cfg


def _find_detector(cfg: Config) -> ConfigDict:
    """The part of the model that holds the backbone: the model, or the detector of a tracker."""
    model = cfg.get('model') or {}
    if not isinstance(model, Mapping):
        raise SwapError(f'`model` is {model!r} in the config, not the dict of a detector.')
    for detector in (model, model.get('detector')):
        backbone = detector.get('backbone') if isinstance(detector, Mapping) else None
        if isinstance(backbone, Mapping) and 'type' in backbone:
            return detector
    raise SwapError(
        f'the model {type_name(model)} has no `backbone` in its config that could be exchanged.'
    )


def _refuse_what_cannot_be(cfg: Config, detector: ConfigDict) -> None:
    kind = type_name(cfg.model)
    if kind == 'BaseReID':
        raise SwapError(
            f'{kind} tells people apart and is no detector: one vector an image, from crops of one '
            f'size, not levels of features. Exchange the detector of its tracker instead.'
        )
    if kind == 'ImageClassifier' or cfg.get('default_scope') == 'mmpretrain':
        raise SwapError(
            f'{kind} is a classifier, not a detector: configs/imagenet has one for each backbone.'
        )
    if kind == 'CLRNet':
        raise SwapError(
            f'{kind} finds lines, rows of points, and no boxes: it needs the operator line_nms, '
            f'which mmcv has for CUDA only, and data that no data set here has.'
        )
    if 'language_model' in detector:
        raise SwapError(
            f'{kind} matches its features with those of a language model, with which the backbone '
            f'was trained: another backbone would have to be trained with it anew.'
        )
    if type_name(detector.get('roi_head') or {}) == 'TridentRoIHead':
        raise SwapError(
            f'{kind} takes three branches of its own backbone, TridentResNet, for each image.'
        )
    neck = detector.get('neck')
    for part in neck if isinstance(neck, Sequence) else [neck]:
        if part and 'rfp_backbone' in part:
            raise SwapError(
                f'the neck {type_name(part)} runs the backbone a second time, with connections '
                f'that only DetectoRS_ResNet has. Use FPN as the neck.'
            )


def _kept(backbone: ConfigDict, new: str, is_pretrained: bool) -> dict:
    """Settings of the old backbone that mean the same for the new one."""
    kept = {key: backbone[key] for key in _KEPT if backbone.get(key)}
    if type_name(backbone.get('norm_cfg') or {}) == 'SyncBN':
        kept['norm_cfg'] = dict(type='SyncBN')
    # statistics that nothing was trained with are not worth keeping
    if backbone.get('norm_eval') and is_pretrained:
        kept['norm_eval'] = True
    known = arguments_of(backbones()[new])
    return {key: value for key, value in kept.items() if key in known}


def _extra_levels(count: int, levels: Levels, kept: dict, kind: str) -> dict | None:
    """Config of what adds levels behind those of the new backbone."""
    if not count:
        return None
    name = kind.removesuffix(kind.rsplit('.', 1)[-1]) + 'ExtraLevels'
    settings = {key: kept[key] for key in ('norm_cfg',) if key in kept}
    return dict(type=name, in_channels=levels.channels[-1], num_levels=count, **settings)


def _put_before_the_neck(part: dict, detector: ConfigDict) -> None:
    neck = detector.get('neck') or []
    necks = list(neck) if isinstance(neck, Sequence) else [neck]
    detector.neck = [ConfigDict(part), *necks] if necks else ConfigDict(part)


def _shared_stage(
    chosen: dict,
    indices: tuple[int, ...],
    checkpoint: str | None,
    weights: Description | None,
    detector: ConfigDict,
) -> dict | None:
    """Config of the stage after the last level as the head of each RoI (Faster R-CNN C4)."""
    shared = (detector.get('roi_head') or {}).get('shared_head')
    if not shared:
        return None
    stage = indices[-1] + 1
    cfg = dict(type='SharedRoIStage', backbone=chosen, stage=stage)
    if weights is not None:
        cfg['norm_eval'] = True
        cfg['init_cfg'] = pretrained(checkpoint, weights, f'layers.{stage - 1}.')
    return cfg
