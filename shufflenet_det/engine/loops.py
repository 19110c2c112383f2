"""Training by iterations that can be continued as if it had never stopped."""
from collections.abc import Iterator

from mmdet.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch import nn
from torch.utils.data import DataLoader

from ..common.errors import ConfigError
from ..data.sampler import EpochSampler


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that resumes where it stopped, without reading what came before.

    The data run without end through one iterator, so that workers are never restarted. The samples
    of an iteration are those of an uninterrupted run; for randomness inside the model see
    :class:`IterationSeedHook`.

    Arguments are those of ``IterBasedTrainLoop``; the data loader must use an
    :class:`EpochSampler`.

    Raises:
        ConfigError: the data loader has another sampler, or batches of its own making.
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
        sampler = self.dataloader.sampler
        if not isinstance(sampler, EpochSampler) or self.dataloader.batch_size is None:
            raise ConfigError(
                f'{type(self).__name__} needs a data loader with sampler=dict('
                f"type='EpochSampler') and a batch_size; this one has {type(sampler).__name__}."
            )
        self._max_iters = int(max_iters)
        self._max_epochs = 1
        self._epoch = 0
        self._iter = 0
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

    def _batches(self) -> Iterator[dict]:
        """The batches from the current iteration on, without end."""
        self.dataloader.sampler.start(self._iter, self.dataloader.batch_size)
        return iter(self.dataloader)

    def _is_validation_due(self) -> bool:
        return (
            self.runner.val_loop is not None
            and self._iter >= self.val_begin
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        )
