"""A quiet start: what a person needs on the screen, everything else in the log file alone.

MMEngine prints the environment, the config, the hooks and how each tensor was initialised, a
thousand lines for a detector. With :class:`QuietRunner` these go to the log file in the work
folder; the screen gets warnings, which weights were loaded, and one summary.
"""
import logging
import time
from collections.abc import Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from ..common.config import pretrained_of
from ..compat.checkpoint import require_present

# accounts of loaded weights (compat/checkpoint_keys.py) and of what starts from them, a learning
# rate that is not the config's, and where to look
_SHOWN = (
    'Loaded ', 'The detector starts from ', 'The shared stage ', 'LR is set based on ',
    'to see how it is going',
)  # fmt: skip
_TIMED = 10


class ConsoleFilter(logging.Filter):
    """Lets warnings and what :data:`_SHOWN` begins through, and all once ``started``."""

    started = False

    def filter(self, record: logging.LogRecord) -> bool:
        return (
            self.started
            or record.levelno >= logging.WARNING
            or record.getMessage().startswith(_SHOWN)
        )


class QuietRunner(Runner):
    """MMEngine's Runner with a quiet start. The log file has everything."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        # file handlers are stream handlers, too
        screens = [h for h in logger.handlers if type(h) is logging.StreamHandler]
        # one logger serves all runners of a process with the same name
        present = [f for h in screens for f in h.filters if isinstance(f, ConsoleFilter)]
        self.console = present[0] if present else ConsoleFilter()
        self.console.started = False
        for handler in screens:
            handler.addFilter(self.console)
        return logger


def build_runner(cfg: Config, config_path: str) -> QuietRunner:
    """The Runner of a config, which says what it runs before the first batch.

    Args:
        cfg: the config.
        config_path: the file that it was read from, for the summary.

    Raises:
        CheckpointError: ``cfg.load_from`` is a path, and there is no checkpoint.
    """
    if cfg.get('load_from'):
        require_present(cfg.load_from)  # mmengine looks when all data have been read
    runner = QuietRunner.from_cfg(cfg)
    # last, when all that is checked before the first batch has been
    runner.register_hook(StartHook(config_path), priority='LOWEST')
    return runner


class StartHook(Hook):
    """Print the summary of a start, and how long a training will take once some batches ran."""

    def __init__(self, config_path: str) -> None:
        self._config_path = config_path
        self._seconds: float | None = None
        self._timed = 0

    def before_train(self, runner: QuietRunner) -> None:
        in_epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
        length = f'{runner.max_epochs} epochs, ' if in_epochs else ''
        length += f'{runner.max_iters} batches'
        loaders = [('training', runner.train_dataloader)]
        if runner.val_loop is not None:
            loaders.append(('validation', runner.val_dataloader))
        done = f', {runner.epoch} epochs and {runner.iter} batches done' if runner.iter else ''
        weights = ('weights', f'{_weights(runner)}{done}')
        self._say(runner, [*_data(loaders), ('length', length), weights])

    def before_test(self, runner: QuietRunner) -> None:
        weights = [('weights', _weights(runner))] if runner.cfg.get('load_from') else []
        self._say(runner, [*_data([('test', runner.test_dataloader)]), *weights])

    def before_train_iter(self, runner: QuietRunner, *args, **kwargs) -> None:
        if self._timed == 1:
            # the first batch allocates memory and starts workers
            self._seconds = time.perf_counter()

    def after_train_iter(self, runner: QuietRunner, *args, **kwargs) -> None:
        self._timed += 1
        left = runner.max_iters - runner.iter - 1
        if self._timed == _TIMED and left > 0:
            each = (time.perf_counter() - self._seconds) / (_TIMED - 1)
            runner.logger.info(
                f'{each:.2f} s a batch: about {duration(each * left)} for the remaining {left} '
                f'batches, without validation'
            )

    def _say(self, runner: QuietRunner, rows: Sequence[tuple[str, str]]) -> None:
        runner.console.started = True
        if is_main_process():
            rows = [('config', self._config_path), *rows, ('device', _device(runner)),
                    ('results', f'{runner.work_dir}, log in {runner.log_dir}')]  # fmt: skip
            width = max(len(name) for name, _ in rows)
            runner.logger.info('\n' + '\n'.join(f'{name:{width}}  {text}' for name, text in rows))


def _weights(runner: Runner) -> str:
    if source := runner.cfg.get('load_from'):
        return f'{"resumed from" if runner.cfg.get("resume") else "of"} {source}'
    if runner.cfg.get('resume'):
        return f'resumed from the latest checkpoint in {runner.work_dir}'
    return ', '.join(pretrained_of(runner.cfg.model)) or 'random'


def _data(loaders: Sequence[tuple[str, DataLoader]]) -> Iterator[tuple[str, str]]:
    for name, loader in loaders:
        dataset = loader.dataset
        place = _place(dataset)
        classes = dataset.metainfo.get('classes') if hasattr(dataset, 'metainfo') else None
        yield name, (
            f'{len(dataset)} images' + (f' of {len(classes)} classes' if classes else '')
            + (f' from {place}' if place else '') + f', batches of {_batch(loader)}'
        )  # fmt: skip


def _batch(loader: DataLoader) -> int | None:
    # where the sampler makes the batches, the loader does not know
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None)


def _place(dataset: object) -> str:
    """The annotations or the folder of a data set, inside of all that wraps it."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return getattr(dataset, 'ann_file', '') or getattr(dataset, 'data_root', None) or ''


def _device(runner: Runner) -> str:
    device = next((tensor.device for tensor in runner.model.parameters()), torch.device('cpu'))
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
    else:
        name = f'{torch.get_num_threads()} threads'
    processes = f', {runner.world_size} processes' if runner.world_size > 1 else ''
    return f'{device.type} ({name}){processes}'


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 24:
        return f'{int(hours // 24)} d {int(hours % 24)} h'
    if hours >= 1:
        return f'{int(hours)} h {int(minutes % 60)} min'
    return f'{int(minutes)} min {int(seconds % 60)} s' if minutes >= 1 else f'{seconds:.0f} s'
