"""Training that can be continued as if it had never stopped."""
from collections.abc import Iterator
from typing import Any

from mmdet.registry import LOOPS
from mmengine.dist import get_dist_info
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch import nn
from torch.utils.data import DataLoader

from ..common.errors import ConfigError
from ..data.ordered_batches import Stretch, put_in_order, rest_of_epoch, share_of
from ..data.sampler import EpochSampler

VALIDATED = 'iter_validated'
"""Name, in the message hub, of the iteration after which the last validation was completed. (Names
that start with ``val`` would be logged.)"""


def _validate_if_missed(loop: EpochBasedTrainLoop | IterBasedTrainLoop, due: bool) -> None:
    """Do what the interrupted run had not come to, behind its last checkpoint."""
    hub = loop.runner.message_hub
    done = hub.get_info(VALIDATED) if VALIDATED in hub.runtime_info else None
    if loop.iter and due and done != loop.iter:
        loop.runner.logger.info(f'the validation after iteration {loop.iter} is made up for')
        loop.runner.val_loop.run()


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resumes where it stopped, within an epoch, too.

    Samples and their randomness are those of an uninterrupted run for any number of workers, see
    :mod:`shufflenet_det.data.ordered_batches`; for randomness inside the model see
    :class:`IterationSeedHook`. With other numbers of processes or another batch size the epoch goes
    on with the samples that nobody has taken. Arguments are those of ``EpochBasedTrainLoop``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, *args, **kwargs) -> None:
        super().__init__(runner, dataloader, *args, **kwargs)
        self.batches = put_in_order(self.dataloader)
        # of the current epoch: what came before, and where the present stretch began
        self._stretches: list[Stretch] = []
        self._began = 0

    def run(self) -> nn.Module:
        """Train from the current iteration to the last."""
        self.runner.call_hook('before_train')
        self._decide_current_val_interval()
        self._began = self._iter
        if not self._stretches:
            _validate_if_missed(self, self._is_validation_due())
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._is_validation_due():
                self.runner.val_loop.run()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """One epoch, or the rest of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.batches.epoch = self._epoch
        first = self._enter_epoch()
        for idx, data_batch in enumerate(self.dataloader, first):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self._stretches, self._began = [], self._iter

    def progress(self, epoch: int, iteration: int) -> dict[str, Any]:
        """What a checkpoint must know of the data, in plain values.

        Args:
            epoch, iteration: that the checkpoint is of.
        """
        stretches = []
        if epoch == self._epoch:
            stretches = list(self._stretches)
            if iteration > self._began:
                stretches.append(Stretch(*self._setting(), iteration - self._began))
        processes, batch_size = self._setting()
        return dict(
            processes=processes,
            batch_size=batch_size,
            batches=len(self.dataloader),
            samples=len(self.dataloader.dataset),
            stretches=[list(stretch) for stretch in stretches],
        )

    def place(self, epoch: int, progress: dict[str, Any]) -> int:
        """Take a place that :meth:`progress` told; the iteration that it is, with this batch.

        Raises:
            ConfigError: the place is within an epoch of another data set, or nobody knows which
                samples are left.
        """
        self._stretches = [Stretch(*map(int, stretch)) for stretch in progress['stretches']]
        samples = len(self.dataloader.dataset)
        if self._stretches and progress['samples'] != samples:
            raise ConfigError(
                f'the checkpoint is from within an epoch of {progress["samples"]} samples, and the '
                f'data set has {samples} now: resume with the data of the run, or from a '
                f'checkpoint at the end of an epoch.'
            )
        return epoch * len(self.dataloader) + self._enter(epoch)

    def _enter_epoch(self) -> int:
        """Have the data loader begin behind what was taken; the number of the next batch."""
        first = self._enter(self._epoch) if self._stretches else 0
        self._began = self._iter
        if self._stretches and self._stretches[-1][:2] == self._setting():
            # the same stretch goes on
            self._began -= self._stretches.pop().batches
        return first

    def _enter(self, epoch: int) -> int:
        if not self._stretches:
            return 0
        *before, last = self._stretches
        same = last[:2] == self._setting()
        if not same:
            before.append(last)
        skipped = last.batches if same else 0
        if not before:
            self.batches.start(skipped)
            return skipped
        rest = rest_of_epoch(self.batches, epoch, before)
        rank, processes = get_dist_info()
        share = share_of(rest, rank, processes)
        self.batches.start(skipped, share)
        batch_size = self.batches.batch_size
        whole = len(share) // batch_size
        left = whole if self.batches.drop_last else -(-len(share) // batch_size)
        return len(self.dataloader) - left + skipped

    def _setting(self) -> tuple[int, int]:
        return get_dist_info()[1], self.batches.batch_size

    def _is_validation_due(self) -> bool:
        return (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
        )


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that resumes where it stopped, without reading what came before.

    With an :class:`EpochSampler` the data run without end through one iterator, so that workers are
    never restarted; with other numbers of processes or another batch size they go on with the
    samples that nobody has taken in the epoch. Other samplers run through an epoch, or without end,
    as they do in MMEngine.

    The samples of an iteration are those of an uninterrupted run; for randomness inside the model
    see :class:`IterationSeedHook`. Arguments are those of ``IterBasedTrainLoop``.

    Raises:
        ConfigError: the data loader makes no batches, or has no data.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        # not that of IterBasedTrainLoop: it starts the workers on the first batches, long before
        # the runner knows where to resume
        BaseLoop.__init__(self, runner, dataloader)
        if max_iters != int(max_iters) or max_iters < 1:
            raise ConfigError(f'max_iters must be a whole number of 1 or more, not {max_iters!r}.')
        if not len(self.dataloader.dataset):
            raise ConfigError('cannot iterate without end over an empty data set.')
        self.batches = put_in_order(self.dataloader)
        self._max_iters = int(max_iters)
        self._max_epochs = 1
        self._epoch = 0
        self._iter = 0
        # where this run began: iteration, epoch of the data, samples of it that were taken before
        self._start = (0, 0, 0)
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.stop_training = False
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(
            val_interval, dynamic_intervals
        )

    def run(self) -> nn.Module:
        """Train from the current iteration to the last."""
        self.runner.call_hook('before_train')
        # all iterations count as one epoch for hooks, as in IterBasedTrainLoop
        self.runner.call_hook('before_train_epoch')
        self._decide_current_val_interval()
        _validate_if_missed(self, self._is_validation_due())
        batches = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            self._decide_current_val_interval()
            if self._is_validation_due():
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def progress(self, epoch: int, iteration: int) -> dict[str, Any]:
        """What a checkpoint must know of the data, in plain values; see ``ResumableEpochLoop``."""
        processes, batch_size = get_dist_info()[1], self.batches.batch_size
        place = dict(processes=processes, batch_size=batch_size,
                     samples=len(self.dataloader.dataset))  # fmt: skip
        sampler = self.batches.sampler
        if isinstance(sampler, EpochSampler):
            began, first, taken = self._start
            epochs, taken = sampler.locate(taken, iteration - began, batch_size)
            place.update(epoch=first + epochs, taken=taken)
        return place

    def place(self, iteration: int, progress: dict[str, Any]) -> int:
        """Take a place that :meth:`progress` told; the iteration that it is.

        Raises:
            ConfigError: a changed batch or data set, where the sampler cannot tell what is left.
        """
        now = self.progress(0, 0)
        sampler = self.batches.sampler
        changed = [key for key in ('processes', 'batch_size', 'samples')
                   if progress.get(key, now[key]) != now[key]]  # fmt: skip
        if not isinstance(sampler, EpochSampler):
            if changed:
                raise ConfigError(
                    f'{", ".join(f"{key} {progress[key]} -> {now[key]}" for key in changed)}: with '
                    f'a {type(sampler).__name__} a run by iterations can be resumed with the '
                    f'setting it had only.'
                )
        elif 'taken' in progress:
            # of a data set that has become smaller, the epoch is over
            over = progress['taken'] >= len(self.dataloader.dataset)
            place = (progress['epoch'] + 1, 0) if over else (progress['epoch'], progress['taken'])
            self._start = (iteration, *place)
        return iteration

    def _batches(self) -> Iterator[dict]:
        """The batches from the current iteration on, without end."""
        sampler = self.batches.sampler
        if isinstance(sampler, EpochSampler):
            began, epoch, taken = self._start
            epochs, taken = sampler.locate(taken, self._iter - began, self.batches.batch_size)
            self._start = (self._iter, epoch + epochs, taken)
            sampler.start(epoch + epochs, taken)
            yield from self.dataloader
        # samplers without an end have no epochs
        finite = hasattr(sampler, 'epoch')
        epoch, skipped = divmod(self._iter, len(self.batches)) if finite else (0, self._iter)
        self.batches.start(skipped)
        while True:
            self.batches.epoch = epoch
            if finite:
                sampler.set_epoch(epoch)
            yield from self.dataloader
            epoch += 1

    def _is_validation_due(self) -> bool:
        return (
            self.runner.val_loop is not None
            and self._iter >= self.val_begin
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        )
