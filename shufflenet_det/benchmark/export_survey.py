"""Every config that MMDetection ships, exported with one of our backbones and compared."""
import contextlib
import copy
import gc
import io
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from shufflenet_runtime.engines import FORMATS
from shufflenet_runtime.resizing import resize_image

import numpy as np
import torch
import torch.distributed as dist
from mmdet.models import BaseDetector
from mmengine.config import Config
from mmengine.logging import MMLogger

from ..common.config import load_config
from ..common.errors import ConfigError, ShuffleNetDetError
from ..common.tables import Column, Table
from ..data.sample import render_scene
from ..export.agreement import LEAST_SCORE, compare
from ..export.decisive import make_decisive
from ..export.networks import Exportable, exportable, require_boxes
from ..export.pictures import as_input
from ..export.resizing import read_resize
from ..export.validation import is_decided
from ..export.writers import WRITERS
from ..swap import SwapError, plan_swap
from ..swap.survey import PACKAGED, shipped_configs
from ..swap.trial import build

__all__ = ['PACKAGED', 'Outcome', 'load_outcomes', 'shipped_configs', 'summary', 'survey']

_TASKS = 40
STEPS = ('no model', 'refused', 'not built', 'compared')
AGREES = 'agrees'
# multiples of 32, because some necks want those, and small, because there are hundreds
_SIZES = ((128, 160), (160, 128))
_LARGER = ((256, 320), (320, 256))
_NARROW = {256: 64, 1024: 128}
_PICTURES, _TRIES, _SCENES = 2, 8, 4
# parts of a config that training alone asks for, or that the exchange replaces
_TRAINING = ('train_cfg', 'init_cfg', 'pretrained', 'batch_augments', 'teacher_config',
             'teacher_ckpt', 'teacher_backbone', 'teacher_neck', 'teacher_bbox_head')  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How far one config came.

    Attributes:
        config: path below MMDetection's ``configs``.
        family: type of the model, and of its head.
        backbone: name of the backbone that was put in.
        step: ``'no model'`` (a fragment of a config), ``'refused'`` (by the exchange or by the
            export), ``'not built'``, or ``'compared'``.
        reason: why it came no further.
        engines: by engine ``'agrees'``, or why it does not.
        like: the config whose exported form is the same, and was compared in the place of this one.
        seconds: what it took.
    """

    config: str
    family: str
    backbone: str
    step: str
    reason: str = ''
    engines: Mapping[str, str] = field(default_factory=dict)
    like: str = ''
    seconds: float = 0.0


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
        reason = _first_line(error)
    return Outcome(
        **about, step=step, reason=reason[:400], engines=engines, seconds=perf_counter() - start
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {text[0] or text[-1]}'[:400]


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
                        bad.append(f'{difference.unmatched} of {difference.compared}')
                del session
            found[engine.name] = f'{bad} detections differ' if bad else AGREES
        except ShuffleNetDetError as error:
            found[engine.name] = str(error)[:400]
        except Exception as error:
            found[engine.name] = _first_line(error)
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


def _key(name: str) -> tuple[str, str, str]:
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
        return name, family, _first_line(error)
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
        names: configs of :func:`shipped_configs`.
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
        for name, (key, family, reason) in workers.run(_key, [(name,) for name in folder]):
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


def load_outcomes(path: Path) -> list[Outcome]:
    """Outcomes that an earlier run wrote, one JSON object a line.

    Raises:
        ConfigError: the file is another one.
    """
    outcomes = []
    for line in path.read_text().splitlines() if path.exists() else ():
        # the end of a run that was killed while it wrote
        if line.endswith('}'):
            try:
                outcomes.append(Outcome(**json.loads(line)))
            except (TypeError, ValueError):
                raise ConfigError(
                    f'{path} is not a file of outcomes: name another with --out.'
                ) from None
    return outcomes


def summary(outcomes: Sequence[Outcome], formats: Sequence[str]) -> list[Table]:
    """Counts by family of detectors, and what is refused or differs, with the reasons."""
    engines = [FORMATS[name].name for name in formats]
    families: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.step in ('compared', 'not built'):
            families.setdefault(outcome.family, []).append(outcome)
    rows = [
        _counts(family, group, engines)
        for family, group in sorted(families.items(), key=lambda f: (-len(f[1]), f[0]))
    ]
    every = [outcome for group in families.values() for outcome in group]
    columns = (
        Column('family', 'detector and head'),
        Column('configs', 'configs', 'd'),
        Column('forms', 'exported forms', 'd'),
        *(Column(engine, f'agree in {engine}', 'd') for engine in engines),
    )
    tables = [Table('Exported and compared', columns, [*rows, _counts('all', every, engines)])]
    refused = Counter((o.family, _short(o.reason)) for o in outcomes if o.step == 'refused')
    tables.append(_reasons('Refused', refused))
    failed: Counter = Counter()
    for outcome in every:
        reasons = outcome.engines.items() if outcome.engines else [('', outcome.reason)]
        for engine, reason in reasons:
            if reason != AGREES:
                failed[f'{outcome.family} {engine}'.strip(), _short(reason)] += 1
    tables.append(_reasons('Without agreement', failed))
    return tables


def _counts(family: str, outcomes: Sequence[Outcome], engines: Sequence[str]) -> dict[str, Any]:
    return dict(
        family=family,
        configs=len(outcomes),
        forms=sum(not o.like for o in outcomes),
        **{e: sum(o.engines.get(e) == AGREES for o in outcomes) for e in engines},
    )


def _reasons(title: str, counts: Counter) -> Table:
    columns = (Column('family', 'detector'), Column('configs', 'configs', 'd'),
               Column('reason', 'reason'))  # fmt: skip
    rows = [
        dict(family=family, configs=number, reason=reason)
        for (family, reason), number in sorted(counts.items(), key=lambda r: (-r[1], r[0]))
    ]
    return Table(title, columns, rows)


def _short(reason: str) -> str:
    reason = reason.replace(str(PACKAGED), '').replace('\n', ' ')
    return reason if len(reason) < 200 else reason[:197] + '...'
