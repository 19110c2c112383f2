"""Randomness inside the model that a resumed run repeats."""
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed
from torch.utils.data import DataLoader

from ..data.ordered_batches import OrderedBatches


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed torch, NumPy and Python before each training iteration, by seed, iteration and process.

    Dropout, the choice of RoIs and the mixing of images then depend on the iteration alone: a run
    that is resumed from a checkpoint continues as if it had never stopped. MMEngine's checkpoints
    do not keep the state of random generators, and could not for a changed number of processes.
    """

    def before_train(self, runner: Runner) -> None:
        # a resumed run takes over the seed of the checkpoint, but its sampler was built before
        seed_samplers(runner.train_dataloader, common_seed(runner))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        # primes, so that runs with seeds 0, 1, 2, ... and their processes draw different numbers
        seed = (common_seed(runner) + 10007 * runner.iter + 1000003 * get_rank()) % 2**32
        set_random_seed(seed)


def common_seed(runner: Runner) -> int:
    """The seed that all processes of a run share."""
    # MMEngine adds the rank to it where each process shall have another
    return runner.seed - get_rank() * bool(runner._randomness_cfg.get('diff_rank_seed'))


def seed_samplers(dataloader: DataLoader, seed: int) -> None:
    """Set the seed of all that chooses and seeds the samples of a data loader."""
    batches = dataloader.batch_sampler
    for sampler in (dataloader.sampler, getattr(batches, 'sampler', None)):
        if hasattr(sampler, 'seed'):
            sampler.seed = seed
    if isinstance(batches, OrderedBatches):
        batches.seed = seed
