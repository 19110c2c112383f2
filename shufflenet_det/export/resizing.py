"""The resize rule of a config's test pipeline; the rules are those of the runtime."""
from typing import Any

from mmcv.image import io as mmcv_io
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmcv.transforms import Resize as MMCVResize
from mmdet.datasets.transforms import LoadAnnotations as MMDetLoadAnnotations
from mmdet.datasets.transforms import PackDetInputs, Resize
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
    rules = [rule for step in _pipeline(cfg) for rule in _rules(TRANSFORMS.build(step))]
    if len(rules) > 1:
        raise ConfigError('cannot export: the test pipeline resizes images more than once.')
    return rules[0] if rules else None


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
        if step.backend != 'cv2' or step.interpolation != 'bilinear' or step.scale is None:
            raise ConfigError(
                "cannot export: Resize of the test pipeline must have scale, backend='cv2' and "
                "interpolation='bilinear'."
            )
        if not step.keep_ratio:
            return [dict(rule='exact', width=step.scale[0], height=step.scale[1])]
        return [dict(rule='fit', long=max(step.scale), short=min(step.scale))]
    if isinstance(step, (LoadAnnotations, MMDetLoadAnnotations, PackDetInputs)):
        return []
    raise ConfigError(
        f'cannot export: the export does not know {type(step).__name__} of the test pipeline.'
    )
