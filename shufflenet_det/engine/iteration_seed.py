"""Randomness inside the model that a resumed run repeats."""
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed

from ..data.sampler import EpochSampler


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed torch, NumPy and Python before each training iteration, by seed, iteration and process.

    Dropout and the mixing of images then depend on the iteration alone: a run that is resumed from
    a checkpoint continues as if it had never stopped. MMEngine's checkpoints do not keep the state
    of random generators, and could not for a changed number of processes.
    """

    def before_train(self, runner: Runner) -> None:
        # a resumed run takes over the seed of the checkpoint, but its sampler was built before
        sampler = runner.train_dataloader.sampler
        if isinstance(sampler, EpochSampler):
            sampler.seed = runner.seed

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        # primes, so that runs with seeds 0, 1, 2, ... and their processes draw different numbers
        seed = (runner.seed + 10007 * runner.iter + 1000003 * get_rank()) % 2**32
        set_random_seed(seed)
