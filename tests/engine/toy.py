"""A training of milliseconds in which all is random that is random in that of a detector."""
import copy
import random
from pathlib import Path

from shufflenet_det.engine.checkpoints import latest_checkpoint
from shufflenet_det.engine.setup import make_resumable

import numpy as np
import torch
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn


@TRANSFORMS.register_module(force=True)
class Shake:
    """Draws from each generator that a transform may use."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, results: dict) -> dict:
        noise = [np.random.rand(), random.random(), torch.rand(()).item()]
        results['values'] = results.get('values', 0) + self.scale * torch.tensor(noise)
        for mixed in results.get('mix_results', ()):
            results['values'] = results['values'] + 0.1 * mixed['values']
        return results

    def get_indexes(self, dataset: BaseDataset) -> list[int]:
        return [random.randint(0, len(dataset) - 1)]


@TRANSFORMS.register_module(force=True)
class MixAnother(Shake):
    """Mixes another image in."""


@DATASETS.register_module(force=True)
class Tens(BaseDataset):
    """Ten images of two shapes and three categories."""

    METAINFO = dict(classes=('a', 'b', 'c'))

    def __init__(self, size: int = 10, **kwargs) -> None:
        self.size = size
        super().__init__(pipeline=[dict(type='Shake')], serialize_data=False, **kwargs)

    def load_data_list(self) -> list[dict]:
        return [dict(index=i, width=1 + i % 3, height=2) for i in range(self.size)]

    def get_cat_ids(self, idx: int) -> list[int]:
        return [0 if idx else 2]


WRAPPED = dict(
    plain=dict(type='Tens'),
    repeat=dict(type='RepeatDataset', times=2, dataset=dict(type='Tens', size=5)),
    concat=dict(type='ConcatDataset', datasets=[dict(type='Tens', size=4), dict(type='Tens')]),
    balanced=dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=dict(type='Tens')),
    mixed=dict(type='MultiImageMixDataset', dataset=dict(type='Tens'),
               pipeline=[dict(type='MixAnother', scale=0.5)]),
)  # fmt: skip


class Model(BaseModel):
    """A layer with dropout that remembers which samples it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.dropout = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3)
        self.seen, self.losses = [], []

    def forward(self, index: list, values: list, mode: str = 'loss', **others) -> dict | list:
        if mode == 'predict':
            return [0] * len(index)
        self.seen.append(list(index))
        # as heads choose samples
        chosen = torch.randperm(4)[:3]
        values = torch.stack(list(values))
        out = self.dropout(self.norm(self.layer(values)) if len(values) > 1 else self.layer(values))
        loss = (out[:, chosen] - 1).square().mean()
        self.losses.append(loss.item())
        return dict(loss=loss)


class Score(BaseMetric):
    """Falls with each validation, so that the first checkpoint is the best."""

    def process(self, data_batch: dict, data_samples: list) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list) -> dict:
        return dict(score=0.5)


class Stop(Exception):
    """Ends a run as a signal would."""


def runner(
    work_dir: Path,
    dataset: str = 'plain',
    workers: int = 0,
    stop_after: int | None = None,
    resume: bool = False,
    seed: int | None = 3,
    changes: dict | None = None,
) -> Runner:
    """A runner of four epochs with a checkpoint after each iteration.

    Args:
        stop_after: iterations after which a :class:`Stop` is raised, behind the checkpoint.
        changes: of the config, by dotted key.
    """
    torch.manual_seed(0)
    cfg = Config(dict(
        train_dataloader=dict(
            batch_size=3, num_workers=workers, persistent_workers=bool(workers),
            dataset=WRAPPED[dataset], sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=4),
        val_dataloader=dict(batch_size=2, num_workers=0, dataset=dict(type='Tens'),
                            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
            dict(type='CosineAnnealingLR', by_epoch=True, T_max=4),
        ],
        custom_hooks=[dict(type='EMAHook', momentum=0.2)],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1)
        ),
        log_level='ERROR', default_scope='mmdet', randomness=dict(seed=seed),
    ))  # fmt: skip
    cfg.merge_from_dict(copy.deepcopy(changes or {}))
    make_resumable(cfg)
    settings = cfg.to_dict()
    settings.pop('filename', None)
    made = Runner(
        model=Model(), work_dir=str(work_dir), val_evaluator=Evaluator([Score()]), cfg=cfg,
        experiment_name=f'{work_dir.name}-{random.SystemRandom().random()}',
        load_from=latest_checkpoint(work_dir) if resume else None, resume=resume, **settings,
    )  # fmt: skip
    if stop_after is not None:
        made.register_hook(_Stopper(stop_after), priority=100)
    return made


class _Stopper(Hook):
    def __init__(self, after: int) -> None:
        self.after = after

    def after_train_iter(self, runner: Runner, batch_idx: int, **kwargs) -> None:
        if runner.iter + 1 == self.after:
            raise Stop
