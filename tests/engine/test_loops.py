from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.engine.loops import ResumableIterLoop

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn


class Numbers:
    """A data set of ten samples that return their index and seed."""

    metainfo = dict(classes=('a',))

    def __len__(self) -> int:
        return 10

    def __getitem__(self, pair: tuple[int, int]) -> dict:
        index, seed = pair
        generator = torch.Generator().manual_seed(seed)
        return dict(index=index, values=torch.rand(3, generator=generator))


class Recorder(BaseModel):
    """One layer that remembers which samples it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.seen = []

    def forward(self, index: torch.Tensor, values: torch.Tensor, mode: str = 'loss') -> dict:
        self.seen.append(index.tolist())
        return dict(loss=self.layer(values).square().mean())


def train(
    work_dir: Path,
    max_iters: int,
    workers: int = 0,
    drop_last: bool = False,
    resume: str | None = None,
    batch_size: int = 4,
) -> Recorder:
    torch.manual_seed(0)
    runner = Runner(
        model=Recorder(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=batch_size,
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='EpochSampler'),
            dataset=Numbers(),
        ),
        train_cfg=dict(type='ResumableIterLoop', max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4)),
        custom_hooks=[dict(type='ResumeHook')],
        log_level='ERROR',
        default_scope='mmdet',
        experiment_name=f'{work_dir.name}-{max_iters}-{workers}-{drop_last}-{bool(resume)}',
        randomness=dict(seed=3),
        load_from=resume,
        resume=resume is not None,
    )
    runner.train()
    return runner.model


# ten samples in batches of four: the borders of epochs lie in the middle of the third batch and
# after the fifth
@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('drop_last', [False, True])
def test_resumed_run_repeats_an_uninterrupted_one(tmp_path, workers, drop_last) -> None:
    whole = train(tmp_path / 'whole', 12, workers, drop_last)
    train(tmp_path / 'cut', 4, workers, drop_last)
    resumed = train(
        tmp_path / 'cut', 12, workers, drop_last, resume=str(tmp_path / 'cut' / 'iter_4.pth')
    )
    assert resumed.seen == whole.seen[4:]
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_every_sample_is_used_once_an_epoch(tmp_path) -> None:
    seen = [index for batch in train(tmp_path, 10).seen for index in batch]
    assert len(seen) == 40
    for epoch in range(4):
        assert sorted(seen[10 * epoch : 10 * epoch + 10]) == list(range(10))


@pytest.mark.parametrize('batch_size', [2, 3, 8])
def test_another_batch_size_goes_on_with_the_next_sample(tmp_path, batch_size) -> None:
    # the fourth batch lies in the second epoch
    seen = train(tmp_path, 4).seen
    path = str(tmp_path / 'iter_4.pth')
    seen += train(tmp_path, 12, resume=path, batch_size=batch_size).seen
    again = str(tmp_path / 'iter_12.pth')
    seen += train(tmp_path, 16, resume=again, batch_size=5).seen
    order = [index for batch in seen for index in batch]
    for start in range(0, len(order) - 9, 10):
        assert sorted(order[start : start + 10]) == list(range(10))


def test_no_sample_is_read_before_training_starts(tmp_path, monkeypatch) -> None:
    reads = []
    plain = Numbers.__getitem__
    monkeypatch.setattr(Numbers, '__getitem__', lambda s, i: reads.append(i) or plain(s, i))
    train(tmp_path, 4)
    train(tmp_path, 6, resume=str(tmp_path / 'iter_4.pth'))
    assert len(reads) == 6 * 4


def test_an_empty_data_set_is_refused() -> None:
    loader = torch.utils.data.DataLoader([], batch_size=2, sampler=[])
    with pytest.raises(ConfigError, match='empty'):
        ResumableIterLoop(None, loader, max_iters=3)


def test_a_loader_without_batches_is_refused() -> None:
    loader = torch.utils.data.DataLoader(Numbers(), batch_size=None)
    with pytest.raises(ConfigError, match='batch_size'):
        ResumableIterLoop(None, loader, max_iters=3)
