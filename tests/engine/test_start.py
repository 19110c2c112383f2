"""A start says on the screen what a person needs, and the rest in the log file."""
from pathlib import Path

from shufflenet_det.engine.start import build_runner, duration
from shufflenet_det.models import ShuffleNetV1

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset


@DATASETS.register_module()
class StartImages(Dataset):
    """Twelve pictures of two classes."""

    ann_file = 'annotations/four.json'
    metainfo = dict(classes=('a', 'b'))

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.zeros(3, 8, 8))


@MODELS.register_module()
class StartModel(BaseModel):
    """A model with a backbone of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ShuffleNetV1(widen_factor=0.25)
        self.fc = nn.Linear(1, 1)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> dict:
        return dict(loss=self.fc.weight.sum())


@pytest.fixture
def cfg(tmp_path):
    loader = dict(
        dataset=dict(type='StartImages'), batch_size=1, num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )  # fmt: skip
    return Config(dict(
        default_scope='mmdet', work_dir=str(tmp_path), model=dict(type='StartModel'),
        train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=6)),
        experiment_name=tmp_path.name,
    ))  # fmt: skip


def log_of(work_dir: Path) -> str:
    (log,) = work_dir.glob('*/*.log')
    return log.read_text()


def test_a_start_of_training_is_short_and_the_log_file_complete(cfg, tmp_path, capsys):
    build_runner(cfg, 'configs/mine.py').train()
    shown, logged = capsys.readouterr().out, log_of(tmp_path)
    start = shown.partition('Epoch(train)')[0]
    assert len(start.splitlines()) < 30
    for told in (
        'config    configs/mine.py\n',
        'training  12 images of 2 classes from annotations/four.json, batches of 1\n',
        'length    2 epochs, 24 batches\n',
        'weights   random\n',
        'device    ',
        f'results   {tmp_path}',
    ):
        assert told in start
    assert 'for the remaining 14 batches' in shown
    for kept in ('System environment', 'Config:', 'Hooks will be executed'):
        assert kept in logged and kept not in shown
    # what comes later is on the screen, too
    assert 'Epoch(train)' in shown.partition('results')[2] and 'config    configs/mine.py' in logged


def test_loaded_weights_and_warnings_are_shown(cfg, tmp_path, capsys):
    path = tmp_path / 'start.pth'
    torch.save(dict(state_dict=StartModel().state_dict()), path)
    cfg.load_from = str(path)
    runner = build_runner(cfg, 'configs/mine.py')
    print_log('of no interest', logger='current')
    print_log('mind the gap', logger='current', level=30)
    runner.train()
    shown = capsys.readouterr().out
    assert f'Loaded checkpoint {path}: ' in shown and '; 0 missing; 0 unexpected' in shown
    assert f'weights   of {path}\n' in shown
    assert 'mind the gap' in shown and 'of no interest' not in shown


@pytest.mark.parametrize(
    'seconds, told',
    [(4.2, '4 s'), (75, '1 min 15 s'), (3600 * 5.5, '5 h 30 min'), (86400 * 2.5, '2 d 12 h')],
)
def test_durations(seconds, told):
    assert duration(seconds) == told
