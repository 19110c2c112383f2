"""A training step and a prediction of any of MMDetection's models, on random pictures.

This asks whether the parts of a model fit one another. What it learns is not asked.
"""
import copy
import math
from collections.abc import Iterator, Mapping

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs, demo_mm_proposals, demo_track_inputs
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from .channels import type_name

# height and width; what cannot work on the first, for want of cells in its coarsest maps, is tried
# on the next, and SSD on the one that its strides of 100 and 300 are made for
SIZES = ((128, 160), (384, 448), (300, 300))
_TRACKERS_OF_DETECTIONS = ('ByteTrack', 'DeepSORT', 'OCSORT', 'StrongSORT')
# it is the wiring that is tried
_ENOUGH_ROIS, _ENOUGH_PROPOSALS = 32, 50
_VIDEO = ('Mask2FormerVideo', 'MaskTrackRCNN', 'QDTrack')


class TrialError(Exception):
    """A model did not do what is asked of it here; the message says what."""


def build(cfg: Config) -> nn.Module:
    """The model of a config, without any weights from files or the network, with few RoIs."""
    model = without_weights(cfg.model)
    for part in _mappings(model):
        _shrink(part)
    return build_model(model, cfg.get('default_scope'))


def without_weights(model: ConfigDict) -> ConfigDict:
    """A copy of a model's config that loads nothing from files or the network."""
    model = copy.deepcopy(model)
    for part in _mappings(model):
        for key in ('init_cfg', 'pretrained'):
            if _loads(part.get(key)):
                # timm takes a bool
                part[key] = False if part[key] is True else None
        if part.get('teacher_ckpt'):
            part.teacher_ckpt = None
    return model


def build_model(model: ConfigDict, scope: str | None = None) -> nn.Module:
    """The model of its config in the scope that the whole config states, MMDetection's if none."""
    with DefaultScope.overwrite_default_scope(scope or 'mmdet'):
        return revert_sync_batchnorm(MODELS.build(model))


def _shrink(part: ConfigDict) -> None:
    """Fewer RoIs and proposals, where a second stage runs on any number of them."""
    for key, setting, most in (
        ('sampler', 'num', _ENOUGH_ROIS),
        ('rpn', 'max_per_img', _ENOUGH_PROPOSALS),
        ('rpn_proposal', 'max_per_img', _ENOUGH_PROPOSALS),
    ):
        if isinstance(part.get(key), Mapping) and setting in part[key]:
            part[key][setting] = min(part[key][setting], most)


def train_and_predict(cfg: Config, model: nn.Module) -> None:
    """Take one step of the optimiser, then predict.

    Args:
        cfg: the config that ``model`` was built from.
        model: see :func:`build`; initialised here.

    Raises:
        TrialError: the losses are not finite, the backbone has no gradient, or nothing is
            predicted for a picture.
    """
    torch.manual_seed(0)
    # some losses ask the Runner's log for the iteration
    hub = MessageHub.get_current_instance()
    for key, value in dict(iter=1, max_iters=10, epoch=0, max_epochs=2).items():
        hub.update_info(key, value)
    model.init_weights()
    for size in SIZES:
        try:
            return _train_and_predict(cfg, model, size)
        except (RuntimeError, ValueError, AssertionError) as error:
            failure = error
    raise failure


def _train_and_predict(cfg: Config, model: nn.Module, size: tuple[int, int]) -> None:
    trained, data = _training_data(cfg, model, size)
    optimiser = _optimiser(cfg, trained)
    trained.train()
    # as `train_step` does it, but for the gradients, which that takes away
    losses = trained(**trained.data_preprocessor(data, True), mode='loss')
    total, logged = trained.parse_losses(losses)
    optimiser.backward(total)
    if not all(math.isfinite(float(v)) for v in logged.values()):
        raise TrialError(f'losses are not finite: {dict(logged)}')
    if not any(p.grad is not None and p.grad.any() for p in _backbone(trained).parameters()):
        raise TrialError('no gradient reaches the backbone')
    optimiser.step()
    model.eval()
    with torch.no_grad():
        data = _prediction_data(cfg, size)
        results = model.test_step(data)
    if len(results) != len(data['data_samples']):
        raise TrialError(f'{len(results)} results for {len(data["data_samples"])} pictures')


def _backbone(model: nn.Module) -> nn.Module:
    for owner in (model, getattr(model, 'detector', None), getattr(model, 'student', None)):
        if hasattr(owner, 'backbone'):
            return owner.backbone
    raise TrialError('no backbone in the model')


def _optimiser(cfg: Config, model: nn.Module):
    settings = copy.deepcopy(cfg.get('optim_wrapper') or ConfigDict(optimizer=dict(type='SGD')))
    # mixed precision of mmengine needs a GPU
    if settings.get('type') == 'AmpOptimWrapper':
        settings.type = 'OptimWrapper'
        for key in ('dtype', 'loss_scale'):
            settings.pop(key, None)
    settings.optimizer.lr = 1e-5
    return build_optim_wrapper(model, settings)


def _training_data(
    cfg: Config, model: nn.Module, size: tuple[int, int]
) -> tuple[nn.Module, dict]:
    """What is trained of a model, and a batch for it."""
    kind = type_name(cfg.model)
    if kind in _TRACKERS_OF_DETECTIONS:
        detector = model.detector
        if type(detector.data_preprocessor).__name__ != 'DetDataPreprocessor':
            detector.data_preprocessor = MODELS.build(dict(type='DetDataPreprocessor'))
        return detector, pictures(cfg, size)
    if kind in _VIDEO:
        return model, _clip(cfg, size, train=True)
    if kind == 'SoftTeacher':
        return model, _branches(cfg, size)
    return model, pictures(cfg, size)


def _prediction_data(cfg: Config, size: tuple[int, int]) -> dict:
    kind = type_name(cfg.model)
    if kind in (*_VIDEO, *_TRACKERS_OF_DETECTIONS):
        return _clip(cfg, size, train=False)
    return pictures(cfg, size, count=1)


def pictures(cfg: Config, size: tuple[int, int], count: int = 2) -> dict:
    """Random pictures of a size, with two or three objects each, as a data loader delivers them."""
    detector = _detector(cfg)
    shapes = [[3, *size]] * count
    classes = _classes(detector)
    data = demo_mm_inputs(
        count,
        shapes,
        num_items=[3 - index % 2 for index in range(count)],
        # it draws labels from 1 on, and bytes for the semantic map
        num_classes=min(max(classes, 2), 255),
        with_mask=_has_masks(cfg),
        with_semantic=True,
        # the semantic branch of HTC has maps of an eighth of the picture
        sem_seg_output_strides=8 if 'semantic_head' in (detector.get('roi_head') or {}) else 1,
        use_box_type=True,
    )
    for sample, shape in zip(data['data_samples'], shapes, strict=True):
        sample.gt_instances.labels %= classes
        if type_name(detector) == 'FastRCNN':
            (sample.proposals,) = demo_mm_proposals([shape], 20)
    return data


def _branches(cfg: Config, size: tuple[int, int]) -> dict:
    """A labelled picture, and an unlabelled one for teacher and student."""
    parts = {}
    for branch in ('sup', 'unsup_teacher', 'unsup_student'):
        parts[branch] = pictures(cfg, size, count=1)
        for sample in parts[branch]['data_samples']:
            sample.set_metainfo(dict(homography_matrix=torch.eye(3).numpy()))
    keys = ('inputs', 'data_samples')
    return {key: {branch: part[key] for branch, part in parts.items()} for key in keys}


def _clip(cfg: Config, size: tuple[int, int], train: bool) -> dict:
    data = demo_track_inputs(
        num_frames=2,
        key_frames_inds=[0] if train else None,
        image_shapes=[(3, *size)],
        num_items=[3],
        num_classes=_classes(_detector(cfg)),
        with_mask=_has_masks(cfg),
    )
    if not train:
        for sample in data['data_samples']:
            sample.set_metainfo(dict(ori_video_length=2, video_length=2))
    return data


def _detector(cfg: Config) -> ConfigDict:
    return cfg.model if 'backbone' in cfg.model else cfg.model.detector


def _has_masks(cfg: Config) -> bool:
    """Whether the pictures that a config is trained on have masks."""
    return any(
        part.get('with_mask', type_name(part) == 'LoadPanopticAnnotations')
        for part in _mappings(cfg.get('train_dataloader'))
    )


def _classes(detector: ConfigDict) -> int:
    """Number of classes that the heads are for; 1 for a detector that has proposals only."""
    found = [
        part[key]
        for part in _mappings(detector)
        for key in ('num_classes', 'num_things_classes')
        if isinstance(part.get(key), int) and not type_name(part).startswith('RPN')
    ]
    return min(found, default=1)


def _loads(setting: object) -> bool:
    """Whether an ``init_cfg`` or ``pretrained`` reads a file."""
    settings = setting if isinstance(setting, (list, tuple)) else [setting]
    return any(s is True or isinstance(s, str) or type_name(s) == 'Pretrained' for s in settings)


def _mappings(node: object) -> Iterator[Mapping]:
    if isinstance(node, Mapping):
        yield node
        for key in node:
            yield from _mappings(node[key])
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _mappings(item)
