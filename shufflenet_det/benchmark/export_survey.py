"""Every config that MMDetection ships, exported with one of our backbones and compared."""
import contextlib
import gc
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from hashlib import sha256
from itertools import groupby
from multiprocessing import get_context
from typing import Any

import torch
import torch.distributed as dist
from mmengine.logging import MMLogger

from ..common.config import load_config
from ..common.errors import ConfigError
from ..export.networks import require_boxes
from ..export.resizing import read_resize
from ..swap.survey import PACKAGED
from .export_outcomes import Outcome
from .export_trial import family_of, first_line, survey_config

_TASKS = 40
# parts of a config that training alone asks for, or that the exchange replaces
_TRAINING = ('train_cfg', 'init_cfg', 'pretrained', 'batch_augments', 'teacher_config',
             'teacher_ckpt', 'teacher_backbone', 'teacher_neck', 'teacher_bbox_head')  # fmt: skip


def _quietly(function: Any, *args: Any) -> Any:
    warnings.simplefilter('ignore')
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = function(*args)
    # models hold references to themselves; waiting for the collector takes gigabytes
    gc.collect()
    return result


def _start_worker() -> None:
    os.chdir(PACKAGED)
    MMLogger.get_instance('survey', log_level='ERROR')
    torch.set_num_threads(1)
    # for which layers ask that are built for several processes (MMSyncBN)
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)


def form_of(name: str) -> tuple[str, str, str]:
    """What the exported form depends on, the family, and why the export refuses it."""
    family = ''
    try:
        cfg = load_config(str(PACKAGED / 'configs' / name))
        family = family_of(cfg)
        require_boxes(cfg.model)
        rule = read_resize(cfg)
    except ConfigError as error:
        return name, family, str(error)[:400]
    except Exception as error:
        return name, family, first_line(error)
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
    """Export and compare configs, each exported form once, a folder of configs after the other.

    Args:
        names: paths below the ``configs`` of MMDetection.
        backbone: name of the backbone to put in.
        formats: names of :data:`shufflenet_runtime.engines.FORMATS`.
        jobs: processes, of one thread each.
        known: outcomes of earlier runs, which are not found anew.

    Yields:
        Outcomes in the order in which they come to be known.
    """
    known = {o.config: o for o in known if o.backbone == backbone}
    first: dict[str, Outcome] = {}
    workers, done = _Workers(jobs), 0
    for _, folder in groupby(names, key=lambda name: name.split('/')[0]):
        waiting: dict[str, list[tuple[str, str]]] = {}
        for name, (key, family, reason) in workers.run(form_of, [(name,) for name in folder]):
            (name,) = name
            if name in known:
                yield known[name]
                first.setdefault(key, known[name])
            elif reason:
                step = 'no model' if 'sets no `model`' in reason else 'refused'
                yield Outcome(name, family, backbone, step, reason)
            else:
                waiting.setdefault(key, []).append((name, family))
        for key in [key for key in waiting if key in first]:
            yield from _others(first[key], waiting.pop(key))
        # of a form the config with the usual backbone, which is the smallest
        groups = [sorted(group, key=_usual_first) for group in waiting.values()]
        tasks = [(group[0][0], backbone, formats) for group in groups]
        for (_, outcome), key, group in zip(
            workers.run(survey_config, tasks), waiting, groups, strict=True
        ):
            first[key] = outcome
            yield outcome
            yield from _others(outcome, group[1:])
        done += len(tasks)
        if done >= _TASKS:
            workers.renew()
            done = 0
    workers.close()


def _usual_first(pair: tuple[str, str]) -> tuple[bool, str]:
    return 'r50' not in pair[0], pair[0]


def _others(outcome: Outcome, pairs: Iterable[tuple[str, str]]) -> Iterator[Outcome]:
    """The same outcome for configs with the same exported form."""
    for name, family in pairs:
        like = outcome.like or outcome.config
        yield replace(outcome, config=name, family=family, like=like, seconds=0.0)


class _Workers:
    """Processes that are replaced after some tasks: memory of large models is not given back.

    Args:
        jobs: their number.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._jobs, mp_context=get_context('spawn'), initializer=_start_worker
        )

    def run(self, function: Callable[..., Any], tasks: Iterable[tuple]) -> Iterator[tuple]:
        """Arguments and results of a function, in order."""
        futures = [(task, self._pool.submit(_quietly, function, *task)) for task in tasks]
        for task, future in futures:
            try:
                yield task, future.result()
            except BrokenProcessPool:
                # one was killed, as it is when memory runs out, and took the others with it
                self._pool = self._new()
                yield task, self._pool.submit(_quietly, function, *task).result()

    def renew(self) -> None:
        """Start anew. (`max_tasks_per_child` of Python 3.11 waits for ever.)"""
        self._pool.shutdown()
        self._pool = self._new()

    def close(self) -> None:
        self._pool.shutdown()
