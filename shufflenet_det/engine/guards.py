"""Hooks that end a training in time, with all that it has."""
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner

from ..common import termination
from ..common.errors import ShuffleNetDetError, shorten
from ..data.ordered_batches import ignore_signals
from .checkpoints import checkpoint_hook, latest_checkpoint


class DivergedError(ShuffleNetDetError):
    """The loss of a training is no number any more."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End a training whose loss is infinite or no number, before it spoils a checkpoint.

    With float16 a loss may overflow now and then, whose step the loss scaler leaves out: there it
    takes ``patience`` of them one after the other.

    Args:
        patience: iterations in a row, with float16 only.

    Raises:
        DivergedError: names the losses, the images of the last batch and the last checkpoint.
    """

    def __init__(self, patience: int = 20) -> None:
        self.patience = patience
        self._in_a_row = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        # MMEngine's log reads each of these numbers, too
        bad = {name: float(value) for name, value in (outputs or {}).items()
               if 'loss' in name and isinstance(value, torch.Tensor) and value.numel() == 1
               and not torch.isfinite(value).all()}  # fmt: skip
        self._in_a_row = self._in_a_row + 1 if bad else 0
        scaled = isinstance(runner.optim_wrapper, AmpOptimWrapper)
        if not bad or (scaled and self._in_a_row < self.patience):
            return
        losses = ', '.join(f'{name} {value}' for name, value in bad.items())
        raise DivergedError(
            f'the training has diverged at iteration {runner.iter + 1}: {losses}. The images of '
            f'the last batch: {shorten(image_names(data_batch), 16) or "unknown"}. '
            + _last(runner)
            + 'If these images and their annotations are right, lower the learning rate (optim_'
            'wrapper.optimizer.lr), lengthen its warm-up, or clip gradients (optim_wrapper.'
            'clip_grad.max_norm).'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        # a gradient can be no number where the loss still was one
        # not the buffers, which may hold an infinity on purpose
        bad = [name for name, value in runner.model.named_parameters()
               if not torch.isfinite(value).all()]  # fmt: skip
        if bad:
            raise DivergedError(
                f'the training has diverged: after iteration {runner.iter + 1} weights are '
                f'infinite or no numbers ({shorten(bad, 4)}), and are not saved. {_last(runner)}'
                f'Lower the learning rate, or clip gradients.'
            )


def _last(runner: Runner) -> str:
    last = latest_checkpoint(runner.work_dir)
    return f'The last checkpoint, {last}, is kept. ' if last else 'No checkpoint was written yet. '


def image_names(data_batch: Any) -> list[str]:
    """The image files of a batch, as far as it tells them."""
    return list(_names(data_batch))


def _names(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part.get('paths') or ()
        yield from _names(part.get('data_samples'))
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _names(item)
    elif hasattr(part, 'metainfo'):
        path = part.metainfo.get('img_path')
        if path is not None:
            yield str(path)


@HOOKS.register_module()
class TerminationHook(Hook):
    """Save the state and end with status 143 when a scheduler sends SIGTERM.

    Of several processes the first saves; the others, which it leaves alone, end because of that. A
    validation is completed before, unless there is a checkpoint from just before it.
    """

    # after the checkpoint hook
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        termination.listen()
        if runner.val_loop is not None:
            loader = runner.val_loop.dataloader
            loader.worker_init_fn = partial(ignore_signals, loader.worker_init_fn)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if termination.is_asked() and is_main_process():
            self._end(runner, runner.iter + 1)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        hook = checkpoint_hook(runner)
        saved = hook is not None and getattr(hook, 'saved_iter', None) == runner.iter
        if termination.is_asked() and is_main_process() and saved:
            self._end(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        termination.stop_listening()

    def _end(self, runner: Runner, iteration: int) -> None:
        hook = checkpoint_hook(runner)
        if hook is None:
            runner.logger.warning('ended by SIGTERM; the config has no SafeCheckpointHook')
        else:
            saved = hook.saved_iter == iteration
            path = latest_checkpoint(runner.work_dir) if saved else hook.save_now(runner)
            runner.logger.warning(
                f'ended by SIGTERM after iteration {iteration}, which is saved in {path}: '
                f'--resume continues there'
            )
        raise SystemExit(termination.EXIT_STATUS)
