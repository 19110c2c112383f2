"""What a checkpoint needs for a run that is resumed from it to go on as if it had never stopped."""
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import distributed, nn

from .iteration_seed import seed_samplers
from .loops import VALIDATED, ResumableEpochLoop, ResumableIterLoop
from .schedule import Place, follow_config

PROGRESS, GRADIENTS, SIZES = 'progress', 'accumulated_gradients', 'batch_input_sizes'
"""Keys of a checkpoint: where in the data it is; and of what MMEngine keeps in memory only,
gradients that no step was made from yet, and the size that a batch augmentation drew last."""


@HOOKS.register_module()
class ResumeHook(Hook):
    """Save what MMEngine's checkpoints lack, and take it up again.

    - the place in the data, for ``ResumableEpochLoop`` and ``ResumableIterLoop``;
    - the gradients of an accumulation that a checkpoint falls into (of one process);
    - the image size that ``BatchSyncRandomResize`` drew last;
    - whether the validation after a checkpoint was completed.

    On resuming, what the config has of the schedule goes before what the checkpoint has, and all
    that has changed is said. Before a validation the processes take over the buffers of the first,
    which are those that a checkpoint has.
    """

    # after what changes the model for a validation
    priority = 'BELOW_NORMAL'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if 'optimizer' not in checkpoint:
            # of the best ones: nothing is resumed from it
            return
        meta, loop = checkpoint['meta'], runner.train_loop
        if isinstance(loop, ResumableEpochLoop | ResumableIterLoop):
            meta[PROGRESS] = loop.progress(meta['epoch'], meta['iter'])
        checkpoint[SIZES] = {name: list(module._input_size)
                             for name, module in _resizing(runner.model)}  # fmt: skip
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper) or wrapper.should_update():
            return
        if get_dist_info()[1] > 1:
            runner.logger.warning(
                'a checkpoint in the middle of an accumulation: the gradients of the last '
                f'{wrapper._inner_count % wrapper._accumulative_counts} batches are not in it'
            )
            return
        checkpoint[GRADIENTS] = {name: p.grad.cpu() for name, p in runner.model.named_parameters()
                                 if p.grad is not None}  # fmt: skip

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        meta, loop = checkpoint['meta'], runner.train_loop
        said, moved = [], False
        if isinstance(loop, ResumableEpochLoop | ResumableIterLoop):
            # the order of the samples is that of the run
            seed_samplers(runner.train_dataloader, meta.get('seed') or 0)
            said, moved = self._place(loop, meta)
        place = Place(meta['epoch'], meta['iter'], len(runner.train_dataloader), moved)
        said += _lengths(runner, checkpoint) + follow_config(runner, checkpoint, place)
        if said:
            runner.logger.warning(
                'resuming with another setting than the run had: ' + '; '.join(said)
            )
        sizes = checkpoint.pop(SIZES, {})
        for name, module in runner.model.named_modules():
            if name.removeprefix('module.') in sizes:
                module._input_size = tuple(sizes[name.removeprefix('module.')])
        gradients = {} if moved else checkpoint.pop(GRADIENTS, {})
        for name, parameter in runner.model.named_parameters():
            if name in gradients:
                parameter.grad = gradients[name].to(parameter.device)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        runner.message_hub.update_info(VALIDATED, runner.iter)

    def before_val_epoch(self, runner: Runner) -> None:
        if get_dist_info()[1] > 1:
            for buffer in runner.model.buffers():
                distributed.broadcast(buffer, 0)

    def _place(self, loop: Any, meta: dict) -> tuple[list[str], bool]:
        """Have the loop take its place; what has changed, and whether iterations have."""
        epochs = isinstance(loop, ResumableEpochLoop)
        epoch, before = meta['epoch'], meta['iter']
        progress = meta.get(PROGRESS) or _guess(loop, epoch, before)
        if progress is None:
            return [], False
        meta['iter'] = loop.place(epoch if epochs else before, progress)
        now = loop.progress(0, 0)
        said = [f'{word} {progress[key]} -> {now[key]}'
                for key, word in (('processes', 'processes'), ('batch_size', 'batch_size'),
                                  ('samples', 'images of the data set'))
                if progress.get(key, now[key]) != now[key]]  # fmt: skip
        if said and (progress.get('stretches') or progress.get('taken')):
            said.append('the epoch goes on with the images that were not used in it')
        if meta['iter'] != before:
            said.append(f'iteration {before} of the run is {meta["iter"]} now')
        return said, meta['iter'] != before


def _guess(loop: Any, epoch: int, iteration: int) -> dict | None:
    """The place of a checkpoint that does not tell it, which then is as MMEngine takes it."""
    if not isinstance(loop, ResumableEpochLoop):
        return None
    now = loop.progress(-1, 0)
    within = iteration - epoch * now['batches']
    if 0 < within < now['batches']:
        now['stretches'] = [[now['processes'], now['batch_size'], within]]
    return now


def _lengths(runner: Runner, checkpoint: dict) -> list[str]:
    """How the length of the training has changed."""
    info = (checkpoint.get('message_hub') or {}).get('runtime_info') or {}
    said = []
    for key in ('max_epochs', 'max_iters'):
        now = getattr(runner, key)
        # the iterations follow from the epochs
        if info.get(key, now) != now and not said:
            said.append(f'{key} {info[key]} -> {now}')
    return said


def _resizing(model: nn.Module) -> list[tuple[str, nn.Module]]:
    inner = model.module if is_model_wrapper(model) else model
    return [(name, module) for name, module in inner.named_modules()
            if getattr(module, '_input_size', None) is not None]  # fmt: skip
