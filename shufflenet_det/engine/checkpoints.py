"""Checkpoints of a training: the last whole one is there whatever happens."""
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..common.cli import write_atomically
from ..compat.checkpoint import CheckpointError
from ..compat.checkpoint_writing import remove_partial

LAST = 'last_checkpoint'
"""File of a work folder that names the checkpoint to resume from."""
_INTERRUPTED = 'interrupted_ckpt'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that removes the old when the new is on the disk, and not before.

    Arguments are those of ``CheckpointHook``.

    Raises:
        CheckpointError: a checkpoint cannot be written, as on a full disk; the message names the
            last whole one.
    """

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        # what a run was resumed from is still there
        self.saved_iter = runner.iter if runner._resume else -1
        self._outdated: list[str] = []
        self._plain_backend = self.file_backend
        self.file_backend = _RemovingLater(self.file_backend, self._outdated)
        if is_main_process():
            remove_partial(self.out_dir)

    def save_now(self, runner: Runner) -> str:
        """Save the state after the current iteration, out of turn; the path.

        It is kept until the next checkpoint in turn.
        """
        if not self.by_epoch:
            self._save_checkpoint(runner)
            return self.last_ckpt
        step = runner.iter + 1
        self.last_ckpt = self.file_backend.join_path(self.out_dir, f'iter_{step}.pth')
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.message_hub.update_info(_INTERRUPTED, self.last_ckpt)
        self._save(runner, Path(self.last_ckpt).name, dict(epoch=runner.epoch, iter=step))
        return self.last_ckpt

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        hub = runner.message_hub
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                self.file_backend.remove(self._path(self.keep_ckpt_ids.popleft()))
            self.keep_ckpt_ids.append(step)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        if _INTERRUPTED in hub.runtime_info:
            self.file_backend.remove(hub.pop_info(_INTERRUPTED))
        self.last_ckpt = self._path(step)
        hub.update_info('last_ckpt', self.last_ckpt)
        self._save(runner, self.filename_tmpl.format(step), meta)

    def _save(self, runner: Runner, name: str, meta: dict) -> None:
        try:
            runner.save_checkpoint(
                self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                backend_args=self.backend_args, **self.args,
            )  # fmt: skip
        except CheckpointError as error:
            last = latest_checkpoint(runner.work_dir)
            raise CheckpointError(
                f'{error} ' + (f'The last whole one is {last}. ' if last else '')
                + 'Make room on the disk, then continue with --resume.'
            ) from None
        self.saved_iter = meta['iter']
        if is_main_process():
            write_atomically(Path(runner.work_dir, LAST), self.last_ckpt)
            self._remove_outdated()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        if is_main_process():
            self._remove_outdated()

    def _remove_outdated(self) -> None:
        backend = self._plain_backend
        new = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        new.update((getattr(self, 'best_ckpt_path_dict', None) or {}).values())
        for path in self._outdated:
            if path not in new and backend.isfile(path):
                backend.remove(path)
        self._outdated.clear()

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))


class _RemovingLater:
    """A file backend that notes what is to be removed."""

    def __init__(self, backend: object, outdated: list[str]) -> None:
        self._backend, self._outdated = backend, outdated

    def remove(self, path: str) -> None:
        self._outdated.append(path)

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """The checkpoint to resume from, None if there is none.

    It is the one that the folder's ``last_checkpoint`` names, also where the folder was moved since
    then. If there is none such, it is the one with the most epochs or iterations in its name; of
    these two, where there are both, the one that was written later.
    """
    folder, note = Path(work_dir), Path(work_dir, LAST)
    named = note.read_text().strip() if note.is_file() else ''
    if named and (Path(named).is_file() or '://' in named):
        return named
    if named and (folder / Path(named).name).is_file():
        return str(folder / Path(named).name)
    furthest = [_furthest(folder, kind) for kind in ('epoch', 'iter')]
    present = [path for path in furthest if path]
    if not present:
        return None
    # not by time alone, which copies of files do not keep
    newest = max(present, key=lambda path: path.stat().st_mtime)
    why = f'{named}, which {note} names, is gone' if named else f'there is no {note}'
    print_log(f'{why}: {newest} is the furthest that is there', logger='current')
    return str(newest)


def _furthest(folder: Path, kind: str) -> Path | None:
    """The file ``<kind>_N.pth`` with the largest N."""
    numbered = [
        (int(number), path)
        for path in folder.glob(f'{kind}_*.pth')
        if (number := path.stem.removeprefix(f'{kind}_')).isdecimal()
    ]
    return max(numbered)[1] if numbered else None


def checkpoint_hook(runner: Runner) -> SafeCheckpointHook | None:
    """The hook that saves the checkpoints of a run, if it is ours."""
    return next((hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)), None)

