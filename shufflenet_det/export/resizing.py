"""The resize rule of a config's test pipeline; the rules are those of the runtime."""
from typing import Any

from shufflenet_runtime.resizing import INTERPOLATIONS

from mmcv.image import io as mmcv_io
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmcv.transforms import Pad as MMCVPad
from mmcv.transforms import Resize as MMCVResize
from mmdet.datasets.transforms import LoadAnnotations as MMDetLoadAnnotations
from mmdet.datasets.transforms import PackDetInputs, Pad, Resize
from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from ..common.config import innermost_dataset
from ..common.errors import ConfigError
from ..data import CheckedLoadImageFromFile, ResizeCenterCrop


def read_resize(cfg: Config) -> dict[str, Any] | None:
    """The rule (:mod:`shufflenet_runtime.resizing`) of a config's test pipeline.

    Raises:
        ConfigError: the config has no test pipeline, or one that cannot be described.
    """
    rules = [rule for step in _pipeline(cfg) for rule in _rules(_build(step))]
    sizes = [rule for rule in rules if 'rule' in rule]
    pads = [rule for rule in rules if 'pad' in rule]
    if len(sizes) > 1 or len(pads) > 1:
        raise ConfigError('cannot export: the test pipeline resizes or pads more than once.')
    if not pads:
        return sizes[0] if sizes else None
    if sizes and (rules[0] is not sizes[0] or sizes[0]['rule'] == 'crop'):
        raise ConfigError('cannot export: the test pipeline pads images before it resizes them.')
    return (sizes[0] if sizes else dict(rule='keep')) | pads[0]


def _build(step: dict) -> object:
    kind = step.get('type')
    if kind in ('TestTimeAug', 'MultiScaleFlipAug') or 'transforms' in step:
        raise ConfigError(
            f'cannot export: {kind} of the test pipeline is test-time augmentation, for which an '
            f'image is predicted several times. Set a test pipeline without it: load, Resize, Pad, '
            f'PackDetInputs.'
        )
    if kind not in TRANSFORMS:
        raise _unknown(kind)
    return TRANSFORMS.build(step)


def _unknown(name: object) -> ConfigError:
    return ConfigError(
        f'cannot export: the export does not know {name} of the test pipeline, which may change '
        f'pixels. It knows loading, Resize, Pad and PackDetInputs: take the step out, and test the '
        f'detector without it.'
    )


def _pipeline(cfg: Config) -> list[dict]:
    pipeline = innermost_dataset(cfg.get('test_dataloader')).get('pipeline')
    if not pipeline:
        raise ConfigError('cannot export: the config has no test_dataloader with a pipeline.')
    return pipeline


def _rules(step: object) -> list[dict[str, Any]]:
    """The rules of one transform, none or one."""
    if isinstance(step, ResizeCenterCrop):
        return [dict(rule='crop', short=step.resize, crop=step.crop)]
    if type(step) in (LoadImageFromFile, CheckedLoadImageFromFile):
        if step.to_float32 or step.color_type != 'color':
            raise ConfigError(
                'cannot export: the test pipeline loads images with to_float32 or another '
                "color_type than 'color'; the exported network takes bytes."
            )
        backend = step.imdecode_backend or mmcv_io.imread_backend
        if backend != 'cv2':
            raise ConfigError(
                f'cannot export: the test pipeline decodes images by {backend}, the runtime by '
                "OpenCV, which gives other pixels. Set imdecode_backend='cv2' and train, or at "
                'least test, with that.'
            )
        return []
    if type(step) in (Resize, MMCVResize):
        known = step.interpolation in INTERPOLATIONS
        if step.backend != 'cv2' or not known or step.scale is None:
            raise ConfigError(
                "cannot export: Resize of the test pipeline must have scale, backend='cv2' and "
                f"interpolation {' or '.join(map(repr, INTERPOLATIONS))}."
            )
        by = dict(interpolation=step.interpolation)
        if not step.keep_ratio:
            return [dict(rule='exact', width=step.scale[0], height=step.scale[1]) | by]
        return [dict(rule='fit', long=max(step.scale), short=min(step.scale)) | by]
    if isinstance(step, (LoadAnnotations, MMDetLoadAnnotations, PackDetInputs)):
        return []
    if type(step) in (Pad, MMCVPad):
        return [dict(pad=_pad(step))]
    raise _unknown(type(step).__name__)


def _pad(step: MMCVPad) -> dict[str, Any]:
    if step.padding_mode != 'constant':
        raise ConfigError(
            f"cannot export: Pad of the test pipeline has padding_mode={step.padding_mode!r}, the "
            f"export knows 'constant'."
        )
    value = step.pad_val.get('img', 0)
    if isinstance(value, int):
        values = [value] * 3
    elif isinstance(value, float):
        # OpenCV takes a single number for the first channel; that is what the training saw
        values = [value, 0, 0]
    else:
        values = list(value)
    width, height = step.size or (None, None)
    return dict(
        width=width, height=height, square=step.pad_to_square, divisor=step.size_divisor,
        values=values,
    )  # fmt: skip
