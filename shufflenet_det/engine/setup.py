"""From the flags of the command line to a config that MMEngine's Runner can run, on GPU or CPU."""
import argparse
import os
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import is_distributed
from torch import distributed

from ..common.cli import check_writable
from ..common.errors import ConfigError
from ..compat.checkpoint_keys import hold_every_model


class OptionAction(DictAction):
    """``DictAction`` with a message for an argument that is no KEY=VALUE."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string} {value}: expected KEY=VALUE')
        super().__call__(parser, namespace, values, option_string)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The flag that overrides settings of a config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        help='override settings of the config, as key=value; a list as key="[a,b]" or key=a,b',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that ``tools/train.py`` and ``tools/test.py`` share, as in MMDetection."""
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed job are started',
    )
    # torchrun passes it to the scripts that it starts
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Choose the output folder (flag, then config, then ``work_dirs/<config name>``) and try it."""
    default = os.path.join('work_dirs', Path(config_path).stem)
    cfg.work_dir = work_dir or cfg.get('work_dir') or default
    check_writable(cfg.work_dir)


def set_launcher(cfg: Config, launcher: str, local_rank: int = 0) -> None:
    """Prepare for distributed running.

    MMEngine assumes a GPU for each process; without one the process group is started here with
    gloo, and the model wrapper is told to leave devices alone.

    Raises:
        ConfigError: a launcher that needs GPUs, and there is none.
    """
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    cfg.launcher = launcher
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise ConfigError(
            '--launcher pytorch is for processes that torchrun starts, as tools/dist_train.sh and '
            'tools/dist_test.sh do.'
        )
    if launcher == 'none' or torch.cuda.is_available():
        return
    if launcher != 'pytorch':
        raise ConfigError(
            f'--launcher {launcher} needs GPUs and none is visible; on CPU start the job with '
            f'torchrun and --launcher pytorch.'
        )
    if not is_distributed():
        distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        device_ids=None,
    )


def set_amp(cfg: Config) -> None:
    """Mixed precision: float16 with loss scaling on GPU, bfloat16 on CPU."""
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    else:
        cfg.optim_wrapper.type = 'CPUAmpOptimWrapper'


def set_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate with the total batch.

    Raises:
        ConfigError: the config does not say for which batch its learning rate is meant.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ConfigError(
            'the config has no auto_scale_lr.base_batch_size: state the total batch that its '
            'learning rate is meant for.'
        )
    cfg.auto_scale_lr.enable = True


def set_accumulation(cfg: Config, steps: int) -> None:
    """Make each optimiser step from the gradients of ``steps`` batches.

    MMEngine counts batches, not optimiser steps. What the config counts in iterations (length,
    schedule, validation, checkpoints) is therefore stretched, so that the run does the same
    number of optimiser steps at the same learning rates; what it counts in epochs stays.

    Args:
        cfg: config, changed in place.
        steps: batches for an optimiser step, 1 or more.

    Raises:
        ConfigError: ``steps`` is below 1.
    """
    if steps < 1:
        raise ConfigError(f'--accumulate {steps}: give the batches for an optimiser step, above 0.')
    cfg.optim_wrapper.accumulative_counts = steps
    if 'max_iters' in cfg.train_cfg:
        for key in ('max_iters', 'val_interval', 'val_begin'):
            if key in cfg.train_cfg:
                cfg.train_cfg[key] *= steps
        if cfg.train_cfg.get('dynamic_intervals'):
            # pairs of an iteration and the interval from there on
            cfg.train_cfg.dynamic_intervals = [
                (begin * steps, interval * steps)
                for begin, interval in cfg.train_cfg.dynamic_intervals
            ]
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if not scheduler.get('by_epoch', True):
            for key in ('begin', 'end', 'T_max', 'step_size', 'total_steps'):
                if scheduler.get(key) is not None:
                    scheduler[key] *= steps
            for key in ('milestones', 'periods'):
                if key in scheduler:
                    scheduler[key] = [iteration * steps for iteration in scheduler[key]]
    checkpoints = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if not checkpoints.get('by_epoch', True):
        for key in ('interval', 'save_begin'):
            # an interval of -1 is none
            if checkpoints.get(key, 0) > 0:
                checkpoints[key] *= steps


def is_classifier(cfg: Config) -> bool:
    """Whether the config is that of a classifier rather than of a detector."""
    return cfg.model.get('type') == 'ImageClassifier'


def add_consistency_check(cfg: Config) -> None:
    """Have the model, the data and the checkpoint compared, whatever hooks the config names."""
    hold_every_model()
    hooks = list(cfg.get('custom_hooks') or [])
    if not any(hook['type'] == 'ConsistencyHook' for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='ConsistencyHook')]


# what a training needs to be continued as if it had never stopped, and to end in time
_TRAINING_HOOKS = ('IterationSeedHook', 'ResumeHook', 'FiniteLossHook', 'TerminationHook')
_LOOPS = {
    'EpochBasedTrainLoop': 'ResumableEpochLoop',
    'IterBasedTrainLoop': 'ResumableIterLoop',
}


def make_resumable(cfg: Config) -> None:
    """Have any config trained so that it can be resumed exactly, whatever loop and hooks it names.

    Loops and hooks of MMEngine are replaced by those of this package that do the same and more.
    Those of others stay as they are.

    Raises:
        ConfigError: the config is for testing only.
    """
    train = cfg.get('train_cfg')
    if not train:
        raise ConfigError(f'{cfg.filename} has no train_cfg: it is for testing only.')
    if 'type' not in train:
        train.type = 'EpochBasedTrainLoop' if train.pop('by_epoch') else 'IterBasedTrainLoop'
    train.type = _LOOPS.get(_name(train.type), train.type)
    hooks = dict(cfg.get('default_hooks') or {})
    # None is how a config goes without
    checkpoint = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))
    if checkpoint and _name(checkpoint['type']) == 'CheckpointHook':
        hooks['checkpoint'] = dict(checkpoint, type='SafeCheckpointHook')
        cfg.default_hooks = hooks
    custom = list(cfg.get('custom_hooks') or [])
    present = {_name(hook['type']) for hook in custom}
    cfg.custom_hooks = custom + [dict(type=n) for n in _TRAINING_HOOKS if n not in present]


def _name(type_: str | type) -> str:
    return type_ if isinstance(type_, str) else type_.__name__


def add_progress(cfg: Config) -> None:
    """Have a line a minute logged on how far the training is."""
    hooks = list(cfg.get('custom_hooks') or [])
    if not any(hook['type'] == 'ProgressHook' for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='ProgressHook')]


def add_tracking(cfg: Config, tensorboard: bool = False, wandb: str | None = None) -> None:
    """Have MMEngine send what it logs to TensorBoard or Weights & Biases, too.

    Args:
        cfg: config, changed in place.
        tensorboard: whether to write TensorBoard's files, to ``<work_dir>/<time>/vis_data``.
        wandb: project of Weights & Biases.

    Raises:
        ConfigError: the package for it is not installed.
    """
    wanted = {}
    if tensorboard:
        wanted['tensorboard'] = dict(type='TensorboardVisBackend')
    if wandb:
        name = Path(cfg.work_dir).name
        wanted['wandb'] = dict(type='WandbVisBackend', init_kwargs=dict(project=wandb, name=name))
    for package, backend in wanted.items():
        if find_spec(package) is None:
            raise ConfigError(f'--{package} needs the package: `pip install {package}`.')
        visualizer = cfg.get('visualizer') or dict(type='Visualizer')
        backends = list(visualizer.get('vis_backends') or [dict(type='LocalVisBackend')])
        if not any(other['type'] == backend['type'] for other in backends):
            backends.append(backend)
        cfg.visualizer = {**visualizer, 'vis_backends': backends}
