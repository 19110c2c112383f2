"""One training of :mod:`.claims` on one thread: resumable, with curves, to a record."""
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..common.cli import write_atomically
from ..common.errors import DataError
from ..common.machine import machine
from ..common.memory import keep_freed_memory
from ..common.processes import end_with
from ..evaluation.report import versions
from .claims import network_config
from .records import CURVES, Record, data_of, recipe_of


@dataclass(frozen=True)
class Training:
    """One training: a network and a seed, in a folder of its own."""

    network: str
    seed: int
    work_dir: Path

    @property
    def folder(self) -> Path:
        return self.work_dir / self.network / f'seed{self.seed}'

    @property
    def curves(self) -> Path:
        return self.folder / 'curves.json'

    def epochs_done(self) -> int:
        """Epochs that the run has behind it."""
        if not self.curves.is_file():
            return 0
        return len(json.loads(self.curves.read_text())['epoch'])


class CurvesHook(Hook):
    """Keeps loss and errors of each epoch in a file, of which a resumed run goes on.

    A top-1 error in training is that of the augmented images while the weights change.

    Args:
        path: JSON file with the lists of ``CURVES``, and ``seconds`` of training.

    Raises:
        DataError: a resumed run has not the curves of its first epochs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curves: dict[str, list] = {name: [] for name in (*CURVES, 'seconds')}
        self._logits: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        if runner.epoch:
            self._read(runner.epoch)
        runner.model.head.register_forward_hook(self._keep)

    def _read(self, epochs: int) -> None:
        """Those of the epochs before the checkpoint; the file may have one more."""
        curves = json.loads(self.path.read_text()) if self.path.is_file() else self.curves
        if len(curves['epoch']) < epochs:
            raise DataError(
                f'{self.path} does not have the {epochs} epochs that the checkpoint beside it has '
                'behind it: delete the folder to train from the beginning.'
            )
        self.curves = {name: values[:epochs] for name, values in curves.items()}

    def _keep(self, head: nn.Module, inputs: tuple, logits: Tensor) -> None:
        self._logits = logits.detach()

    def before_train_epoch(self, runner: Runner) -> None:
        self._loss = self._wrong = 0.0
        self._images = 0
        self._start = time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict
    ) -> None:
        labels = data_batch['labels']
        self._loss += len(labels) * float(outputs['loss'].detach())
        self._wrong += int((self._logits.argmax(1).cpu() != labels).sum())
        self._images += len(labels)

    def after_train_epoch(self, runner: Runner) -> None:
        # before the checkpoint, which CheckpointHook writes after all others
        values = dict(
            epoch=runner.epoch + 1,
            train_loss=self._loss / self._images,
            train_error=100 * self._wrong / self._images,
            val_error=None,
            seconds=time.monotonic() - self._start,
        )
        for name, value in values.items():
            self.curves[name].append(value)
        self._write()

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        self.curves['val_error'][-1] = metrics['error/top1']
        self._write()

    def _write(self) -> None:
        write_atomically(self.path, json.dumps(self.curves) + '\n')


def training_config(training: Training, recipe: Path, networks: Path) -> Config:
    """The config of one training: the recipe with its network, seed and folder.

    Args:
        training: what to train.
        recipe: config of data and schedule, the same for all.
        networks: folder of the configs that define the networks.
    """
    cfg = network_config(training.network, recipe, networks)
    cfg.work_dir = str(training.folder)
    cfg.randomness = dict(seed=training.seed)
    # MMEngine keeps one logger for each name in a process
    cfg.experiment_name = f'{training.network}-seed{training.seed}'
    cfg.resume = find_latest_checkpoint(training.folder) is not None
    return cfg


def train(training: Training, recipe: Path, networks: Path, command: str, parent: int) -> Record:
    """Train on one thread, or go on training; the console output goes to a file.

    The folder of the run keeps the last checkpoints.

    Args:
        training: what to train.
        recipe, networks: as in :func:`training_config`.
        command: for the record.
        parent: process whose end ends this one.

    Raises:
        DataError: the run was begun with another recipe.
    """
    end_with(parent)
    # what a process has chosen does not hold for those it starts
    keep_freed_memory()
    torch.set_num_threads(1)
    training.folder.mkdir(parents=True, exist_ok=True)
    with open(training.folder / 'console.log', 'a') as log:
        sys.stdout.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    cfg = training_config(training, recipe, networks)
    require_recipe_of_folder(training, dict(recipe_of(cfg), data=data_of(cfg)))
    runner = Runner.from_cfg(cfg)
    hook = CurvesHook(training.curves)
    runner.register_hook(hook)
    runner.train()
    metrics = runner.val_loop.run()
    return Record(
        network=training.network,
        seed=training.seed,
        data=data_of(cfg),
        recipe=recipe_of(cfg),
        command=command,
        device=f'{machine()["processor"]}, 1 thread',
        precision='float32',
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec='seconds'),
        seconds=round(sum(hook.curves['seconds']), 1),
        curves={name: [_rounded(v) for v in hook.curves[name]] for name in CURVES},
        top1_error=metrics['error/top1'],
        # of so few classes that five of them are all, there is none
        top5_error=metrics.get('error/top5', 0.0),
        train_top1_error=error_in_training(runner.model, cfg),
    )


def require_recipe_of_folder(training: Training, recipe: dict) -> None:
    """Raise :class:`DataError` if a run was begun otherwise; keep how a new one is begun."""
    path = training.folder / 'recipe.json'
    if not path.is_file():
        write_atomically(path, json.dumps(recipe) + '\n')
    elif (begun := json.loads(path.read_text())) != recipe:
        changed = [f'{k} {begun.get(k)} and {v}' for k, v in recipe.items() if begun.get(k) != v]
        raise DataError(
            f'{training.folder} was begun with another recipe ({", ".join(changed)}): delete it, '
            'or choose another --work-dir.'
        )


def _rounded(value: float | None) -> float | None:
    return value if value is None else round(value, 4)


@torch.no_grad()
def error_in_training(model: nn.Module, cfg: Config) -> float:
    """Top-1 error in percent of the training images as they are, not cropped or flipped."""
    test = cfg.val_dataloader.dataset.pipeline
    data = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': test})
    model.eval()
    wrong = 0
    for batch in DataLoader(data, batch_size=cfg.val_dataloader.batch_size):
        batch = model.data_preprocessor(batch)
        wrong += int((model(batch['inputs']).argmax(1) != batch['labels']).sum())
    return 100 * wrong / len(data)
