"""Every config that MMDetection ships, with its own backbone and with one of ours."""
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from time import perf_counter

from mmengine.config import Config

from ..common.config import load_config
from ..common.errors import ConfigError, first_line
from ..common.tables import Column, Table
from . import trial
from .channels import type_name
from .levels import SwapError
from .outcomes import short
from .survey_processes import PACKAGED, portable, results, workers
from .swap import plan_swap

_TASKS = 60
STEPS = ('no model', 'not built', 'refused', 'failed', 'done')


@dataclass(frozen=True)
class Outcome:
    """How far one config came.

    Attributes:
        config: path below MMDetection's ``configs``.
        family: type of the model.
        backbone: type of its own backbone.
        replacement: name of the backbone that was put in.
        step: ``'no model'`` (a fragment of a config), ``'not built'`` (with its own backbone),
            ``'refused'`` (by the swap), ``'failed'`` (to build, train or predict after it) or
            ``'done'``.
        reason: why it came no further.
        seconds: what it took; 0 where another config has the same model and optimiser.
    """

    config: str
    family: str
    backbone: str
    replacement: str
    step: str
    reason: str = ''
    seconds: float = 0.0


def survey_config(name: str, backbone: str) -> Outcome:
    """Take one config through all steps; whatever goes wrong is the outcome, not an error."""
    start = perf_counter()
    about = dict(config=name, family='', backbone='', replacement=backbone)
    step, reason = 'not built', ''
    try:
        cfg = load_config(str(PACKAGED / 'configs' / name))
        model = cfg.model
        owner = model if 'backbone' in model else model.get('detector') or {}
        about |= dict(family=type_name(model), backbone=type_name(owner.get('backbone')))
        trial.build(cfg)
        step = 'refused'
        swapped = plan_swap(cfg, backbone).cfg
        step = 'failed'
        trial.train_and_predict(swapped, trial.build(swapped))
        step = 'done'
    except ConfigError as error:
        reason = str(error)
        if 'sets no `model`' in reason:
            step = 'no model'
        elif step == 'refused' and not isinstance(error, SwapError):
            step = 'failed'
    except Exception as error:
        # code of MMDetection: whatever it raises is this config's outcome
        reason = first_line(error)
    return Outcome(**about, step=step, reason=portable(reason), seconds=perf_counter() - start)


def _fingerprint(name: str) -> str:
    """Equal for configs whose outcome must be equal: the same model, optimiser and scope."""
    try:
        cfg = Config.fromfile(PACKAGED / 'configs' / name, import_custom_modules=False)
    except Exception:
        # read again, and reported, with the others
        return name
    keys = ('model', 'optim_wrapper', 'default_scope', 'custom_imports')
    shown = repr({key: cfg.get(key) for key in keys}) if 'model' in cfg else name
    return sha256(shown.encode()).hexdigest()


def survey(
    names: Iterable[str], backbone: str, jobs: int = 1, known: Iterable[Outcome] = ()
) -> Iterator[Outcome]:
    """Take configs through all steps, each model once, in parallel.

    Args:
        names: configs of :func:`shipped_configs`.
        backbone: name of the backbone to put in.
        jobs: processes, of one thread each.
        known: outcomes of earlier runs, which are not found anew.

    Yields:
        Outcomes in the order in which they come to be known.
    """
    names = list(names)
    alike: dict[str, list[str]] = {}
    with workers(jobs) as pool:
        for name, key in zip(names, pool.map(_fingerprint, names, chunksize=8), strict=True):
            alike.setdefault(key, []).append(name)
    found = {o.config: o for o in known if o.replacement == backbone}
    waiting = []
    for group in alike.values():
        outcomes = [found[name] for name in group if name in found]
        yield from outcomes
        if outcomes:
            yield from _others(outcomes[0], [name for name in group if name not in found])
        else:
            waiting.append(group)
    for start in range(0, len(waiting), _TASKS):
        batch = waiting[start : start + _TASKS]
        tasks = [(group[0], backbone) for group in batch]
        tried = results(survey_config, tasks, jobs, _killed)
        for (_, outcome), group in zip(tried, batch, strict=True):
            yield outcome
            yield from _others(outcome, group[1:])


def _killed(task: tuple[str, str], reason: str) -> Outcome:
    name, backbone = task
    return Outcome(name, '', '', backbone, 'not built', reason)


def _others(outcome: Outcome, names: Iterable[str]) -> Iterator[Outcome]:
    """The same outcome for configs with the same model and optimiser."""
    for name in names:
        yield replace(outcome, config=name, seconds=0.0)


def summary(outcomes: list[Outcome]) -> list[Table]:
    """Counts by family of detectors, and the reasons by their number."""
    families: dict[str, Counter] = {}
    for outcome in outcomes:
        families.setdefault(outcome.family or '(no model)', Counter())[outcome.step] += 1
    rows = [
        _counts(family, counts)
        for family, counts in sorted(families.items(), key=lambda f: -sum(f[1].values()))
    ]
    total = sum(families.values(), Counter())
    columns = (
        Column('family', 'detector'),
        Column('configs', 'configs', 'd'),
        Column('built', 'built with their own backbone', 'd'),
        Column('refused', 'swap refused', 'd'),
        Column('failed', 'failed after the swap', 'd'),
        Column('done', 'built, trained a step and predicted after it', 'd'),
    )
    reasons = Counter((o.step, short(o.reason)) for o in outcomes if o.reason)
    why = Table(
        'Why not',
        (Column('step', 'step'), Column('configs', 'configs', 'd'), Column('reason', 'reason')),
        [
            dict(step=step, configs=count, reason=reason)
            for (step, reason), count in sorted(
                reasons.items(), key=lambda r: (STEPS.index(r[0][0]), -r[1])
            )
        ],
    )
    return [Table('Configs of MMDetection', columns, [*rows, _counts('all', total)]), why]


def _counts(family: str, counts: Counter) -> dict:
    return dict(
        family=family,
        configs=sum(counts.values()),
        built=sum(counts[step] for step in ('refused', 'failed', 'done')),
        **{step: counts[step] for step in ('refused', 'failed', 'done')},
    )
