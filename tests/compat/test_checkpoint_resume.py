"""What mmengine and older versions of OpenMMLab write loads, with the same values, and resumes."""
import collections
import copy
import pickle

from shufflenet_det.compat import checkpoint

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

checkpoint.install()


def through_file(tmp_path, value, **kwargs):
    path = tmp_path / 'x.pth'
    torch.save({'state_dict': {}, 'value': value}, path, **kwargs)
    return checkpoint.read_checkpoint(path)['value']


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('array', [
    np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.arange(3, dtype='>i4'),
    np.array(5, dtype='u1'), np.zeros((0, 3), 'f2'), np.array([True, False]),
    np.array([1 + 2j]), np.zeros((2, 1, 2), np.int64)
], ids=str)
def test_numeric_arrays(array, zipped, tmp_path):
    loaded = through_file(tmp_path, array, _use_new_zipfile_serialization=zipped)
    # numpy itself swaps the bytes of big-endian data
    array = pickle.loads(pickle.dumps(array, 2))
    assert isinstance(loaded, np.ndarray) and loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)
    # what is saved next names no class of this package
    assert pickle.dumps(loaded, 2) == pickle.dumps(array, 2)
    assert type(copy.deepcopy(loaded)) is np.ndarray
    np.testing.assert_array_equal(through_file(tmp_path, loaded), array)


@pytest.mark.parametrize('value', [
    np.float64(0.5), np.float32(1.5), np.int64(-3), np.bool_(True), np.complex64(1j),
    {'CLASSES': ('cat', 'dog'), 'lr': [0.1], 'hook_msgs': {'best': None}, 'ids': {1, 2}},
    collections.OrderedDict(a=1), b'\x00\xff', b'', torch.Size([1, 2]), 2**70, 'naïve', 1e300
], ids=repr)
def test_plain_values(value, tmp_path):
    loaded = through_file(tmp_path, value)
    assert type(loaded) is type(value) and loaded == value


def test_nested_config_dicts_become_dicts(tmp_path):
    value = ConfigDict(skeleton=dict(a=[dict(b=1)]), classes=('x', ))
    assert through_file(tmp_path, value) == {'skeleton': {'a': [{'b': 1}]}, 'classes': ('x', )}


def test_history_buffer(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0, 6.0], [1, 1, 1], max_length=4)
    loaded = through_file(tmp_path, buffer)
    assert type(loaded) is HistoryBuffer and loaded.max_length == 4
    for name in ('min', 'max', 'mean', 'current'):
        assert loaded.statistics(name) == buffer.statistics(name)
    for history, expected in zip(loaded.data, buffer.data, strict=True):
        assert type(history) is np.ndarray
        np.testing.assert_array_equal(history, expected)
    loaded.update(7.0)
    loaded.update(8.0)
    assert loaded.data[0].tolist() == [2, 6, 7, 8]
    assert through_file(tmp_path, loaded).data[0].tolist() == [2, 6, 7, 8]
    assert len(through_file(tmp_path, HistoryBuffer()).data[0]) == 0


def test_statistics_work_in_a_fresh_process(tmp_path, monkeypatch):
    path = tmp_path / 'x.pth'
    torch.save({'value': HistoryBuffer([3.0], [1])}, path)
    # they are registered by the first HistoryBuffer that is created
    monkeypatch.setattr(HistoryBuffer, '_statistics_methods', {})
    assert checkpoint.read_checkpoint(path)['value'].statistics('mean') == 3


class Points(Dataset):
    metainfo = dict(classes=('a', 'b'), palette=[(1, 2, 3)], sigmas=np.array([0.5, 1.5]))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'inputs': torch.full((2, ), float(index))}


class Toy(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs, mode='tensor'):
        out = self.norm(self.linear(torch.stack(inputs)))
        return {'loss': (out - 1).square().mean()} if mode == 'loss' else [out]


class Score(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        # what pycocotools computes are numpy scalars, and save_best keeps one
        return {'score': np.float64(len(results))}


def runner(work_dir, epochs, **kwargs):
    loader = dict(batch_size=2, dataset=Points(),
                  sampler=dict(type='DefaultSampler', shuffle=False))
    torch.manual_seed(0)
    return Runner(
        model=Toy(), work_dir=str(work_dir), experiment_name=f'{work_dir.name}_{epochs}',
        train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_dataloader=loader, val_cfg=dict(), val_evaluator=Evaluator([Score()]),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, end=2, by_epoch=False),
                         dict(type='MultiStepLR', milestones=[1]),
                         dict(type='ReduceOnPlateauLR', monitor='score', rule='greater')],
        custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='score',
                                           rule='greater'),
                           logger=dict(type='LoggerHook', interval=1)),
        randomness=dict(seed=0), default_scope='mmengine', **kwargs)


@pytest.fixture(scope='module', autouse=True)
def no_report_on_the_machine():
    """Each Runner would ask the compilers for their versions, for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        yield


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('trained')
    trainer = runner(work_dir, 2)
    trainer.train()
    return work_dir, trainer


def test_checkpoint_of_a_run_has_the_same_values(trained):
    work_dir, trainer = trained
    path = work_dir / 'epoch_2.pth'
    ours = checkpoint.read_checkpoint(path)
    plain = torch.load(path, weights_only=False)
    assert set(ours) == set(plain) >= {'ema_state_dict', 'optimizer', 'param_schedulers', 'meta'}
    assert_same(ours, plain)
    # bare torch.load, as in publish_model
    assert_same(torch.load(path, weights_only=True), plain)
    assert any('momentum_buffer' in state for state in ours['optimizer']['state'].values())
    assert type(ours['message_hub']['runtime_info']['best_score']) is np.float64
    np.testing.assert_array_equal(ours['meta']['dataset_meta']['sigmas'], [0.5, 1.5])


def assert_same(a, b):
    if isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            assert_same(a[key], b[key])
    elif isinstance(b, list | tuple):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(b, HistoryBuffer):
        assert_same(list(a.data), list(b.data))
        assert a.max_length == b.max_length
    elif isinstance(b, np.ndarray):
        np.testing.assert_array_equal(a, b)
    elif isinstance(b, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b)
    else:
        assert type(a) is type(b) and a == b


def test_resume(trained):
    work_dir, first = trained
    second = runner(work_dir, 3, resume=True, load_from=str(work_dir / 'epoch_2.pth'))
    before = {k: v.data[0].tolist() for k, v in first.message_hub.log_scalars.items()}
    second.load_or_resume = resume_then(second, lambda: resumed.update(
        {k: v.data[0].tolist() for k, v in second.message_hub.log_scalars.items()}))
    resumed = {}
    second.train()
    assert second.epoch == 3
    losses = second.message_hub.get_scalar('train/loss')
    assert resumed['train/loss'] == before['train/loss'] and len(before['train/loss']) == 4
    assert losses.data[0].tolist()[:4] == before['train/loss'] and len(losses.data[0]) == 6
    assert losses.statistics('mean', 6) == pytest.approx(np.mean(losses.data[0]))
    # the whole run at once gives the same weights
    whole = runner(work_dir.parent / 'whole', 3)
    whole.train()
    for key, value in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[key], value)


def resume_then(trainer, action):
    original = trainer.load_or_resume

    def load_or_resume():
        original()
        action()
    return load_or_resume


def test_message_hub_and_loss_scaler(tmp_path):
    hub = MessageHub('test_message_hub')
    hub.update_scalar('train/loss', np.float32(0.5))
    hub.update_info('best', np.float32(0.25))
    scaler = {'scale': 65536.0, 'growth_factor': 2.0, 'backoff_factor': 0.5,
              'growth_interval': 2000, '_growth_tracker': 0}
    loaded = through_file(tmp_path, {'hub': hub.state_dict(), 'loss_scaler': scaler})
    other = MessageHub('test_message_hub_other')
    other.load_state_dict(loaded['hub'])
    assert other.get_scalar('train/loss').current() == 0.5 and other.get_info('best') == 0.25
    assert loaded['loss_scaler'] == scaler


def test_resume_does_not_run_the_config_in_a_checkpoint(trained, tmp_path):
    work_dir, _ = trained
    state = checkpoint.read_checkpoint(work_dir / 'epoch_2.pth')
    marker = tmp_path / 'it_ran'
    state['meta']['config'] = f'open({str(marker)!r}, "w").close()'
    torch.save(state, tmp_path / 'crafted.pth')
    trainer = runner(tmp_path / 'resumed', 2, resume=True, load_from=str(tmp_path / 'crafted.pth'))
    trainer.train()
    assert not marker.exists()


def test_test_with_load_from(trained):
    work_dir, _ = trained
    tester = Runner(model=Toy(), work_dir=str(work_dir), experiment_name='tester',
                    test_dataloader=dict(batch_size=2, dataset=Points(),
                                         sampler=dict(type='DefaultSampler', shuffle=False)),
                    test_cfg=dict(), test_evaluator=Evaluator([Score()]), default_scope='mmengine',
                    load_from=str(work_dir / 'epoch_2.pth'))
    tester.test()
    saved = checkpoint.read_checkpoint(work_dir / 'epoch_2.pth')['state_dict']
    assert torch.equal(tester.model.linear.weight, saved['linear.weight'])
