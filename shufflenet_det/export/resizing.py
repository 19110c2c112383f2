"""What a config's test pipeline does to an image before the network, as ``deploy.json`` has it.

``resize`` of ``deploy.json`` is one of

- ``{"rule": "fit", "long": L, "short": S}``: with ``f = min(L / longer, S / shorter)`` of the sides
  of the image, each becomes ``int(side * f + 0.5)``, by OpenCV's bilinear interpolation. Boxes are
  divided by new width / old width and new height / old height.
- ``{"rule": "exact", "width": W, "height": H}``: to this size, else the same.
- ``{"rule": "crop", "short": S, "crop": C}``: the shorter side to S, by Pillow's antialiased
  bilinear interpolation as torchvision's ``Resize`` calls it, then the central square of C pixels.
- null: the image is used as it is.
"""
from collections.abc import Mapping
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmcv.transforms import Resize as MMCVResize
from mmdet.datasets.transforms import LoadAnnotations as MMDetLoadAnnotations
from mmdet.datasets.transforms import PackDetInputs, Resize
from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from ..data import CheckedLoadImageFromFile, ResizeCenterCrop
from ..engine.config import innermost_dataset
from ..errors import ConfigError


def read_resize(cfg: Config) -> dict[str, Any] | None:
    """The rule of a config's test pipeline.

    Raises:
        ConfigError: the config has no test pipeline, or one that cannot be described.
    """
    rules = [rule for step in _pipeline(cfg) for rule in _rules(TRANSFORMS.build(step))]
    if len(rules) > 1:
        raise ConfigError('cannot export: the test pipeline resizes images more than once.')
    return rules[0] if rules else None


def resize_image(image: np.ndarray, rule: Mapping[str, Any] | None) -> np.ndarray:
    """An image (H, W, 3) of uint8 as the network's test pipeline resizes it."""
    if rule is None:
        return image
    if rule['rule'] == 'fit':
        return mmcv.imrescale(image, (rule['long'], rule['short']), backend='cv2')
    if rule['rule'] == 'exact':
        return mmcv.imresize(image, (rule['width'], rule['height']), backend='cv2')
    crop = ResizeCenterCrop(rule['short'], rule['crop'])
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return crop(pixels).numpy().transpose(1, 2, 0)


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
