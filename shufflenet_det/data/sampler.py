"""A sampler whose order and randomness depend on nothing but the seed and the epoch."""
from collections.abc import Iterator, Sized
from itertools import count

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler

from ..common.errors import ConfigError


@DATA_SAMPLERS.register_module()
class EpochSampler(DefaultSampler):
    """``DefaultSampler`` that gives each sample a seed of its own, and can start anywhere.

    It yields pairs ``(index, seed)``; the seed is a function of the sampler's seed, the epoch and
    the index, so a sample comes out the same for any number of workers and processes. Data sets
    must know such pairs, as :class:`ImageFolderDataset` does.

    An iteration takes one epoch, that of ``set_epoch``; after ``start`` it never ends.

    Args:
        dataset, shuffle, seed, round_up: as for MMEngine's ``DefaultSampler``.
    """

    def __init__(
        self, dataset: Sized, shuffle: bool = True, seed: int | None = None, round_up: bool = True
    ) -> None:
        super().__init__(dataset, shuffle, seed, round_up)
        self._first = None

    def start(self, epoch: int, taken: int) -> None:
        """Make the next iteration one without end, from within an epoch.

        Epochs follow each other without a gap: a batch may hold the last samples of one and the
        first of the next, and none is left out.

        Args:
            epoch: the first one.
            taken: samples of it that all processes took together; less than an epoch has.

        Raises:
            ConfigError: the data set is empty.
        """
        if not self.num_samples:
            raise ConfigError('cannot iterate without end over an empty data set.')
        self._first = epoch, taken

    def locate(self, taken: int, batches: int, batch_size: int) -> tuple[int, int]:
        """Where an endless iteration is, for :meth:`start`.

        Args:
            taken: samples of its first epoch that were taken before it.
            batches: that each process took.
            batch_size: samples in a batch of one process.

        Returns:
            Epochs that were completed, and samples of the next that all processes took.
        """
        own = batches * batch_size
        first = -(-(len(self.dataset) - taken) // self.world_size)
        if own < first:
            return 0, taken + own * self.world_size
        epochs, own = divmod(own - first, self.num_samples)
        return epochs + 1, own * self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self._first is None:
            yield from self._samples(self.epoch)
            return
        epoch, taken = self._first
        yield from self._samples(epoch, taken)
        for following in count(epoch + 1):
            yield from self._samples(following)

    def _samples(self, epoch: int, taken: int = 0) -> Iterator[tuple[int, int]]:
        """Pairs of one epoch, those of this process behind the first ``taken`` of all."""
        # a pair as the key: with seed + epoch, runs of neighbouring seeds would share epochs
        rng = np.random.default_rng((self.seed, epoch))
        size = len(self.dataset)
        indices = rng.permutation(size) if self.shuffle else np.arange(size)
        # torch's generator takes 32 bits
        seeds = rng.integers(2**32, size=size)
        indices = indices[taken:]
        if self.round_up:
            indices = np.resize(indices, len(indices) + -len(indices) % self.world_size)
        indices = indices[self.rank :: self.world_size]
        return zip(indices.tolist(), seeds[indices].tolist(), strict=True)
