"""One line a minute on how far a training is, when it will be done, and how good it is so far."""
import time
from collections.abc import Mapping

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

FIRST_AFTER, EVERY = 20.0, 60.0
"""Seconds from the start to the first line, and from each line to the next."""
# the first batches also pay for memory, workers and the choice of algorithms
WARM_UP = 3
# of the time of a training image, until a validation was measured: it has no backward pass
VALIDATION_SHARE = 1 / 3
FIGURES = {'coco/bbox_mAP': ('mAP', max), 'error/top1': ('top-1 error', min)}


@HOOKS.register_module()
class ProgressHook(Hook):
    """Log progress, an estimate of the time left, and the figures of the validation so far.

    MMEngine's own estimate (``eta``) leaves out validations; this one counts those that are to
    come, with the time that the last ones took.
    """

    # after those that do work, so that their time is in
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._intervals: list[float] = []
        self._validations: list[float] = []
        self._figures: list[tuple[int, float]] = []
        self._figure = ''
        self._start = self._last = self._shown = self._began = 0.0

    def before_train(self, runner: Runner) -> None:
        self._start = self._last = time.monotonic()
        self._shown = self._start + FIRST_AFTER - EVERY
        runner.logger.info(
            f'to see how it is going, now or later: python tools/report.py {runner.work_dir}'
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        now = time.monotonic()
        self._intervals.append(now - self._last)
        self._last = now
        done = runner.iter + 1
        steady = len(self._intervals) > WARM_UP
        if now - self._shown >= EVERY and steady and done < runner.max_iters:
            self._shown = now
            runner.logger.info(self.line(runner, done))

    def before_val(self, runner: Runner) -> None:
        self._began = time.monotonic()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        for name in FIGURES:
            if name in (metrics or {}):
                self._figure = name
                self._figures.append((runner.iter, metrics[name]))

    def after_val(self, runner: Runner) -> None:
        self._validations.append(time.monotonic() - self._began)
        self._last = time.monotonic()

    def line(self, runner: Runner, done: int) -> str:
        """Progress after ``done`` iterations of the whole training."""
        left = self.seconds_left(runner, done)
        text = (
            f'progress: {done} of {runner.max_iters} iterations '
            f'({100 * done / runner.max_iters:.0f}%), {_duration(time.monotonic() - self._start)} '
            f'gone, about {_duration(left)} left (until '
            f'{time.strftime("%H:%M", time.localtime(time.time() + left))})'
        )
        if self._figures:
            name, best = FIGURES[self._figure]
            text += (
                f'; {name} {self._figures[-1][1]:.3f} at iteration {self._figures[-1][0]}, best '
                f'{best(value for _, value in self._figures):.3f}'
            )
        return text

    def seconds_left(self, runner: Runner, done: int) -> float:
        """Time of the iterations and of the validations that are to come."""
        steady = self._intervals[WARM_UP:]
        iteration = sum(steady) / len(steady)
        coming = validations_left(runner, done)
        if self._validations:
            # the first one also started the workers
            validation = self._validations[-1]
        elif coming:
            size = _batch_size(runner.train_dataloader)
            images = len(runner.val_loop.dataloader.dataset)
            validation = VALIDATION_SHARE * iteration / size * images
        else:
            validation = 0.0
        return iteration * (runner.max_iters - done) + validation * coming


def _batch_size(loader: DataLoader) -> int:
    # a loader with a batch sampler, such as MMDetection's by aspect ratio, has no size of its own
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 1


def validations_left(runner: Runner, done: int) -> int:
    """How many validations are to come after ``done`` iterations."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return 0
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    units = len(loop.dataloader) if by_epoch else 1
    # one that is due at this iteration runs after this line
    first, last = -(-done // units), -(-runner.max_iters // units)
    return sum(
        unit >= loop.val_begin and (unit % loop.val_interval == 0 or unit == last)
        for unit in range(max(first, 1), last + 1)
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 5400:
        return f'{seconds / 60:.1f} min'
    return f'{seconds / 3600:.1f} h'
