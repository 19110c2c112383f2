"""Batches whose order and randomness depend on nothing but the seed and the epoch.

MMDetection's transforms draw from the global generators of the process that reads the image, so
what an image becomes depends on the worker and on all that it read before. Here each sample has a
seed of its own, whatever the data set and its wrappers are, and an epoch can be entered anywhere
without reading what came before.
"""
import copy
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.datasets import AspectRatioBatchSampler
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from ..common.errors import ConfigError
from .sampler import EpochSampler


class Stretch(NamedTuple):
    """A part of an epoch that ran with one setting.

    Attributes:
        processes: number of processes.
        batch_size: samples in a batch of one process.
        batches: that each process took.
    """

    processes: int
    batch_size: int
    batches: int


class SeededBatch(NamedTuple):
    """Indices of samples, and a seed for each."""

    indices: list
    seeds: list[int]


def read_seeded(dataset: Dataset, batch: SeededBatch | Sequence) -> list:
    """The samples of a batch, each read under its seed. Leaves the generators seeded."""
    if not isinstance(batch, SeededBatch):
        return [dataset[index] for index in batch]
    samples = []
    for index, seed in zip(*batch, strict=True):
        random.seed(seed)
        np.random.seed(seed)
        # not torch.manual_seed, which would seed the GPUs, too
        torch.default_generator.manual_seed(seed)
        samples.append(dataset[index])
    return samples


class OrderedBatches(Sampler):
    """Around the batch sampler of a data loader: gives seeds, and can start within an epoch.

    The seed of a sample is a function of ``seed``, ``epoch``, its index, and how often the index
    came before in this epoch and process: the same for any number of workers. Samples of an
    :class:`EpochSampler` have seeds already.

    Args:
        batches: the batch sampler.

    Attributes:
        seed, epoch: to be set before an iteration.
    """

    def __init__(self, batches: BatchSampler) -> None:
        self.batches = batches
        self.seed = self.epoch = 0
        self._skipped = 0
        self._rest: list | None = None

    @property
    def sampler(self) -> Sampler:
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    @property
    def drop_last(self) -> bool:
        return self.batches.drop_last

    def __len__(self) -> int:
        return len(self.batches)

    def start(self, skipped: int = 0, rest: list | None = None) -> None:
        """Make the next iteration start within an epoch.

        Args:
            skipped: batches that were already taken; what is more than an epoch has is left out of
                the next.
            rest: samples of this process, if not those of the sampler.
        """
        self._skipped, self._rest = skipped, rest

    def __iter__(self) -> Iterator[SeededBatch | list]:
        skipped, self._skipped = self._skipped, 0
        rest, self._rest = self._rest, None
        batches = self.batches
        if rest is not None:
            batches = _batches_of(batches, rest, self.batch_size)
        has_seeds = isinstance(self.sampler, EpochSampler)
        before = Counter()
        number = -1
        for number, batch in enumerate(batches):
            occurrences = [] if has_seeds else list(map(partial(_count, before), batch))
            if number >= skipped:
                seeds = map(self._seed, batch, occurrences)
                yield batch if has_seeds else SeededBatch(list(batch), list(seeds))
        # of an epoch shorter than that
        self._skipped = max(0, skipped - number - 1)

    def _seed(self, index: int | tuple[int, ...], occurrence: int) -> int:
        parts = index if isinstance(index, tuple) else (index,)
        key = (self.seed, self.epoch, occurrence, *map(int, parts))
        return int(np.random.SeedSequence(key).generate_state(1)[0])


def _count(before: Counter, index: Any) -> int:
    before[index] += 1
    return before[index] - 1


def put_in_order(dataloader: DataLoader) -> OrderedBatches:
    """Give a data loader an :class:`OrderedBatches`, and its data set samples with seeds.

    Signals of the terminal and of a scheduler then reach the main process alone: workers that end
    with them would end the training before it can save its state.

    Raises:
        ConfigError: the data set makes batches of its own.
    """
    if dataloader.batch_sampler is None:
        raise ConfigError('the training needs a train_dataloader with a batch_size.')
    if isinstance(dataloader.batch_sampler, OrderedBatches):
        return dataloader.batch_sampler
    ordered = OrderedBatches(dataloader.batch_sampler)
    # DataLoader lets no attribute be set that it has read; this one is read with each iteration
    vars(dataloader)['batch_sampler'] = ordered
    dataloader.worker_init_fn = partial(ignore_signals, dataloader.worker_init_fn)
    # what DataLoader calls for a whole batch, where a data set has it
    dataloader.dataset.__getitems__ = partial(read_seeded, dataloader.dataset)
    return ordered


def ignore_signals(then: Callable[[int], None] | None, worker: int) -> None:
    """Begin a worker of a data loader that leaves signals to the main process, with ``then``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # macOS cannot tell who sent a signal
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_obey_parent, daemon=True).start()
    if then is not None:
        then(worker)


def _obey_parent() -> None:
    """End with the SIGTERM of the main process, which is how it ends a worker, and no other."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


def rest_of_epoch(ordered: OrderedBatches, epoch: int, stretches: Sequence[Stretch]) -> list:
    """The samples of an epoch that no process took in the stretches, in their order.

    Raises:
        ConfigError: nobody knows what the processes took, with these samplers.
    """
    sampler, kind = ordered.sampler, type(ordered.batches)
    known = isinstance(sampler, DefaultSampler) and kind in (BatchSampler, AspectRatioBatchSampler)
    if not known:
        raise ConfigError(
            f'with a {type(sampler).__name__} and a {kind.__name__} an epoch can be continued with '
            f'the same number of processes and batch_size only: resume with those of the run, or '
            f'from a checkpoint at the end of an epoch.'
        )
    alone = copy.copy(sampler)
    alone.rank, alone.world_size = 0, 1
    alone.num_samples = alone.total_size = len(sampler.dataset)
    alone.set_epoch(epoch)
    rest = list(alone)
    for stretch in stretches:
        taken = set()
        for rank in range(stretch.processes):
            share = share_of(rest, rank, stretch.processes)
            batches = list(_batches_of(ordered.batches, share, stretch.batch_size))
            taken.update(chain.from_iterable(batches[: stretch.batches]))
        rest = [sample for sample in rest if sample not in taken]
    return rest


def share_of(samples: list, rank: int, processes: int) -> list:
    """The samples of a process; the first ones fill up the last row, as in ``DefaultSampler``."""
    missing = -len(samples) % processes
    filled = samples + [samples[i % len(samples)] for i in range(missing)]
    return filled[rank::processes]


class _Listed(Sampler):
    def __init__(self, samples: list, dataset: Dataset) -> None:
        self.samples, self.dataset = samples, dataset

    def __iter__(self) -> Iterator:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


def _batches_of(batches: BatchSampler, samples: list, batch_size: int) -> BatchSampler:
    """The batches that a batch sampler makes of some samples."""
    return type(batches)(_Listed(samples, batches.sampler.dataset), batch_size, batches.drop_last)
