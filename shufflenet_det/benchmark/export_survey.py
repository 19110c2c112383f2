"""Every config that MMDetection ships, exported with one of our backbones and compared."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ..common.config import load_config
from ..common.errors import ConfigError, first_line
from ..export.networks import require_boxes
from ..export.resizing import read_resize
from ..swap.survey_processes import PACKAGED, portable, results
from .export_outcomes import Outcome
from .export_trial import family_of, survey_config

_TASKS = 40
# parts of a config that training alone asks for, or that the exchange replaces
_TRAINING = ('train_cfg', 'init_cfg', 'pretrained', 'batch_augments', 'teacher_config',
             'teacher_ckpt', 'teacher_backbone', 'teacher_neck', 'teacher_bbox_head')  # fmt: skip


def form_of(name: str) -> tuple[str, str, str]:
    """What the exported form depends on, the family, and why the export refuses it."""
    family = ''
    try:
        cfg = load_config(str(PACKAGED / 'configs' / name))
        family = family_of(cfg)
        require_boxes(cfg.model)
        rule = read_resize(cfg)
    except ConfigError as error:
        return name, family, portable(str(error))
    except Exception as error:
        return name, family, portable(first_line(error))
    model = _stripped(cfg.model.to_dict())
    # of resizing the kind alone, because pictures have a size of their own here
    shown = repr((sorted(model.items(), key=repr), rule and rule['rule'], cfg.get('default_scope')))
    return sha256(shown.encode()).hexdigest(), family, ''


def _stripped(value: Any, key: str = '') -> Any:
    """A model's config without what training alone asks for, and without what of its backbone the
    exchange replaces: all but its levels and their strides."""
    if isinstance(value, Mapping):
        if key.startswith('loss'):
            return {k: value.get(k) for k in ('type', 'use_sigmoid')}
        if key == 'backbone':
            value = {
                k: v for k, v in value.items()
                if k in ('type', 'out_indices', 'strides', 'dilations', 'extra', 'num_stages')
            }
            value['type'] = _PYRAMIDS.get(value.get('type'), value.get('type'))
        left = {
            k: _stripped(v, k)
            for k, v in value.items()
            if k not in _TRAINING and (key, k) not in _REPLACED
        }
        return dict(sorted(left.items(), key=repr))
    if isinstance(value, (list, tuple)):
        return [_stripped(v) for v in value]
    return value


# by the exchange, besides the backbone
_REPLACED = [('neck', 'in_channels')]
_REPLACED += [('data_preprocessor', k) for k in ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr')]
# backbones with the same strides of the same levels, whatever their depth and width
_PYRAMIDS = dict.fromkeys(
    ('ResNet', 'ResNeXt', 'Res2Net', 'RegNet', 'ResNeSt', 'ResNetV1d', 'DetectoRS_ResNet',
     'DetectoRS_ResNeXt'), 'ResNet'
)  # fmt: skip


def survey(
    names: Iterable[str],
    backbone: str,
    formats: Sequence[str],
    jobs: int = 1,
    known: Iterable[Outcome] = (),
) -> Iterator[Outcome]:
    """Export and compare configs, each exported form once.

    Args:
        names: paths below the ``configs`` of MMDetection.
        backbone: name of the backbone to put in.
        formats: names of :data:`shufflenet_runtime.engines.FORMATS`.
        jobs: processes, of one thread each.
        known: outcomes of earlier runs, which are not found anew.

    Yields:
        Outcomes in the order in which they come to be known.
    """
    found = {o.config: o for o in known if o.backbone == backbone}
    first: dict[str, Outcome] = {}
    waiting: dict[str, list[tuple[str, str]]] = {}
    forms = results(form_of, [(name,) for name in names], jobs, lambda task, why: (*task, '', why))
    for (name,), (key, family, reason) in forms:
        if name in found:
            yield found[name]
            first.setdefault(key, found[name])
        elif reason:
            step = 'no model' if 'sets no `model`' in reason else 'refused'
            yield Outcome(name, family, backbone, step, reason)
        else:
            waiting.setdefault(key, []).append((name, family))
    for key in [key for key in waiting if key in first]:
        yield from _others(first[key], waiting.pop(key))
    # of a form the config with the usual backbone, which is the smallest
    groups = [sorted(group, key=_usual_first) for group in waiting.values()]
    for start in range(0, len(groups), _TASKS):
        batch = groups[start : start + _TASKS]
        tasks = [(group[0][0], backbone, formats) for group in batch]
        tried = results(survey_config, tasks, jobs, _killed)
        for (_, outcome), group in zip(tried, batch, strict=True):
            yield outcome
            yield from _others(outcome, group[1:])


def _killed(task: tuple[str, str, Sequence[str]], reason: str) -> Outcome:
    name, backbone, _ = task
    return Outcome(name, '', backbone, 'not built', reason)


def _usual_first(pair: tuple[str, str]) -> tuple[bool, str]:
    return 'r50' not in pair[0], pair[0]


def _others(outcome: Outcome, pairs: Iterable[tuple[str, str]]) -> Iterator[Outcome]:
    """The same outcome for configs with the same exported form."""
    for name, family in pairs:
        like = outcome.like or outcome.config
        yield replace(outcome, config=name, family=family, like=like, seconds=0.0)
