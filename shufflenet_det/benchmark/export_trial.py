"""One config of MMDetection, exported with one of our backbones and compared in the engines."""
import copy
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from shufflenet_runtime.engines import FORMATS
from shufflenet_runtime.resizing import resize_image

import numpy as np
import torch
from mmdet.models import BaseDetector
from mmengine.config import Config

from ..common.config import load_config
from ..common.errors import ConfigError, ShuffleNetDetError, first_line
from ..data.sample import render_scene
from ..export.agreement import LEAST_SCORE, compare
from ..export.decisive import make_decisive
from ..export.networks import Exportable, exportable, require_boxes
from ..export.pictures import as_input
from ..export.resizing import read_resize
from ..export.validation import is_decided
from ..export.writers import WRITERS
from ..swap import SwapError, plan_swap
from ..swap.survey_processes import PACKAGED, portable
from ..swap.trial import build
from .export_outcomes import AGREES, Outcome

# multiples of 32, because some necks want those, and small, because there are hundreds
_SIZES = ((128, 160), (160, 128))
# of which a level of stride 128 has 3x3 places, as deformable convolutions need them
_LARGER = ((384, 416), (416, 384))
_NARROW = {256: 64, 1024: 128}
_PICTURES, _TRIES, _SCENES = 2, 8, 4


def family_of(cfg: Config) -> str:
    """Type of a model, and of its head where there is one for all."""
    model = cfg.get('model') or {}
    owner = model.get('detector') or model
    head = (owner.get('bbox_head') or owner.get('roi_head') or {}).get('type', '')
    name = str(owner.get('type', ''))
    return f'{name}, {head}' if head else name


def swapped(name: str, backbone: str) -> Config:
    """A config with another backbone.

    Raises:
        ConfigError: it has no model, or the exchange or the export refuses it.
    """
    cfg = load_config(str(PACKAGED / 'configs' / name))
    require_boxes(cfg.model)
    read_resize(cfg)
    return plan_swap(cfg, backbone).cfg


def survey_config(name: str, backbone: str, formats: Sequence[str]) -> Outcome:
    """Export and compare one config; whatever goes wrong is the outcome, not an error."""
    start = perf_counter()
    about: dict[str, Any] = dict(config=name, family='', backbone=backbone)
    step, reason, engines = 'not built', '', {}
    try:
        about['family'] = family_of(load_config(str(PACKAGED / 'configs' / name)))
        cfg = swapped(name, backbone)
        engines = _compared(cfg, formats)
        step = 'compared'
    except (ConfigError, SwapError) as error:
        reason, step = str(error), 'refused'
        if 'sets no `model`' in reason:
            step = 'no model'
    except Exception as error:
        # code of MMDetection: whatever it raises is this config's outcome
        reason = first_line(error)
    return Outcome(
        **about, step=step, reason=portable(reason), engines=engines, seconds=perf_counter() - start
    )


def _compared(cfg: Config, formats: Sequence[str]) -> dict[str, str]:
    """What the engines make of a config, with narrow necks and heads where that can be."""
    rule = read_resize(cfg)
    # priors of SSD are made for one size
    fixed = ((rule['height'], rule['width']),) if rule and rule['rule'] == 'exact' else None
    narrow = copy.deepcopy(cfg)
    for part in ('neck', 'bbox_head', 'rpn_head', 'roi_head'):
        _narrow(narrow.model.get(part))
    try:
        # with few proposals
        return _compare(build(narrow), fixed or _SIZES, formats)
    except ConfigError:
        raise
    # some parts do not take other channels, and some no small maps
    except Exception:
        return _compare(build(cfg), fixed or _LARGER, formats)


def _narrow(part: Any) -> None:
    """A quarter of the usual channels, in place: what is exported is as deep as it was."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key.endswith('channels') and isinstance(value, int) and value in _NARROW:
                part[key] = _NARROW[value]
            else:
                _narrow(value)
    elif isinstance(part, list):
        for value in part:
            _narrow(value)


def _compare(
    model: BaseDetector, sizes: Sequence[tuple[int, int]], formats: Sequence[str]
) -> dict[str, str]:
    scenes = [_picture(seed, sizes[0], 'bgr') for seed in range(_SCENES)]
    make_decisive(model, torch.from_numpy(np.concatenate(scenes)))
    source = replace(exportable(model, None, None), size=None, example=sizes[0])
    thresholds = source.description['thresholds']
    found = {}
    pictures = _decided(source, sizes)
    for name in formats:
        engine = FORMATS[name]
        try:
            with tempfile.TemporaryDirectory() as folder:
                WRITERS[name](source, Path(folder))
                session = engine.open(Path(folder), threads=1)
                bad = []
                for images, expected in pictures:
                    difference = compare('detector', expected, session(images), thresholds)
                    if not difference.agrees:
                        bad.append(difference.unmatched)
                del session
            found[engine.name] = f'{bad} detections have no partner' if bad else AGREES
        except ShuffleNetDetError as error:
            found[engine.name] = str(error)[:400]
        except Exception as error:
            found[engine.name] = first_line(error)
    return found


def _picture(seed: int, size: tuple[int, int], channels: str) -> np.ndarray:
    image = render_scene(np.random.default_rng([9, seed])).image[..., ::-1]
    rule = dict(rule='exact', height=size[0], width=size[1])
    return as_input(resize_image(np.ascontiguousarray(image), rule), channels)


def _decided(source: Exportable, sizes: Sequence[tuple[int, int]]) -> list:
    """Pictures with PyTorch's detections, on which these do not hang on rounding.

    Raises:
        ConfigError: there are none.
    """
    chosen = []
    for seed in range(_TRIES):
        images = _picture(seed, sizes[seed % len(sizes)], source.description['channels'])
        expected = source.predict(images)
        enough = (expected['scores'] > LEAST_SCORE).sum() >= 3
        if enough and is_decided(source, images, expected, times=1):
            chosen.append((images, expected))
        if len(chosen) == _PICTURES:
            return chosen
    if not chosen:
        raise RuntimeError('PyTorch itself is not decided on any picture, or detects nothing')
    return chosen
