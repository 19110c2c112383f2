"""The place of a resumed run in the schedule of its config."""
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import Runner

# what a scheduler counts and computes, all else is how it was configured
_STATE = frozenset([
    '_global_step', 'last_step', '_last_value', 'base_values', 'verbose', 'best', 'num_bad_epochs',
    'cooldown_counter', 'last_epoch', 'optimizer',
])  # fmt: skip
# what schedulers make of a parameter group's own settings
_SCHEDULED = 'initial_'


class Place(NamedTuple):
    """Where a run stands.

    Attributes:
        epoch, iteration: that were completed.
        epoch_length: iterations of an epoch.
        moved: whether the iteration has another number than in the checkpoint.
    """

    epoch: int
    iteration: int
    epoch_length: int
    moved: bool


def follow_config(runner: Runner, checkpoint: dict, place: Place) -> list[str]:
    """Put the schedule of the config in the place of a checkpoint's, where they differ.

    MMEngine takes the whole state of optimiser and schedulers from the checkpoint, with rates,
    lengths and milestones: a config that was changed since has no effect. Here the learning rate
    (or what else is scheduled) becomes what it would be had the config always been as it is. Where
    a scheduler follows a measured figure, the rates stay those of the checkpoint.

    Args:
        runner: with optimiser and schedulers as the config has them, not resumed yet.
        checkpoint: changed in place.
        place: where the run stands.

    Returns:
        What differs, in words; empty where nothing does.
    """
    schedulers, optimizer = runner.param_schedulers, runner.optim_wrapper
    saved = checkpoint.get('param_schedulers') or []
    state = checkpoint.get('optimizer') or {}
    if not isinstance(optimizer, OptimWrapper) or isinstance(schedulers, Mapping):
        return []
    schedulers = list(schedulers or [])
    groups = list(state.get('param_groups', []))
    if state.get('base_param_settings'):
        groups.append(state['base_param_settings'])
    now = optimizer.param_groups
    if len(groups) != len(now):
        # another paramwise_cfg: torch refuses it with a message of its own
        return []
    said = _settings_that_differ(groups, now) + _schedulers_that_differ(saved, schedulers)
    if not said and not place.moved:
        return []
    before = groups[0].get('lr')
    if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
        for old, scheduler in zip(saved, schedulers, strict=False):
            new = scheduler.state_dict()
            old.update({key: new[key] for key in set(new) - _STATE})
        return [*said, f'the learning rate stays {before}, because a scheduler measures']
    _replay(schedulers, place)
    for group, current in zip(groups, now, strict=True):
        group.update({key: value for key, value in current.items() if key != 'params'})
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
    after = now[0].get('lr')
    return said + [f'learning rate {before:.4g} -> {after:.4g}'] * (before != after)


def _settings_that_differ(saved: Sequence[dict], now: Sequence[dict]) -> list[str]:
    """Settings of the parameter groups, as they are before they are scheduled."""
    said: dict[str, None] = {}
    for old, new in zip(saved, now, strict=True):
        for key, value in _unscheduled(new).items():
            before = _unscheduled(old).get(key, value)
            before = tuple(before) if isinstance(before, list) else before
            if before != value:
                said[f'{key} {before} -> {value}'] = None
    return list(said)


def _unscheduled(group: dict) -> dict[str, Any]:
    plain = {key: tuple(value) if isinstance(value, list) else value
             for key, value in group.items()
             if key != 'params' and not key.startswith(_SCHEDULED)}  # fmt: skip
    scheduled = {key.removeprefix(_SCHEDULED): value for key, value in group.items()
                 if key.startswith(_SCHEDULED)}  # fmt: skip
    return plain | scheduled


def _schedulers_that_differ(saved: Sequence[dict], now: Sequence[_ParamScheduler]) -> list[str]:
    if len(saved) != len(now):
        return [f'{len(saved)} schedulers -> {len(now)}']
    said = []
    for old, scheduler in zip(saved, now, strict=True):
        new = scheduler.state_dict()
        kind = type(scheduler).__name__
        if set(old) - _STATE != set(new) - _STATE:
            said.append(f'another scheduler -> {kind}')
            continue
        for key in sorted(set(new) - _STATE):
            if not callable(new[key]) and _plain(old[key]) != _plain(new[key]):
                said.append(f'{kind} {key} {_plain(old[key])} -> {_plain(new[key])}')
    return said


def _plain(value: Any) -> Any:
    # a Counter of milestones comes back from a file as a dict
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _replay(schedulers: list[_ParamScheduler], place: Place) -> None:
    """Step schedulers that were just built to where the run stands."""
    with warnings.catch_warnings():
        # torch's habit of stepping the optimiser first
        warnings.filterwarnings('ignore', message='Detected call of `scheduler.step')
        for step in range(1, place.iteration + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            if step % place.epoch_length == 0 and step <= place.epoch * place.epoch_length:
                for scheduler in schedulers:
                    if scheduler.by_epoch:
                        scheduler.step()
