"""A run that ended anywhere and is resumed ends as one that never ended."""
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.compat.checkpoint import read_checkpoint
from shufflenet_det.engine.checkpoints import latest_checkpoint

import pytest
import torch
from mmengine.config import Config

from ..faults.tiny import differences, state_of
from .toy import WRAPPED, Stop, runner


@pytest.fixture(autouse=True, scope='module')
def _no_report_on_the_machine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        # each checkpoint would have the config formatted anew
        patch.setattr(Config, 'pretty_text', 'x = 1')
        yield


def train(*args, **kwargs):
    made = runner(*args, **kwargs)
    try:
        made.train()
    except Stop:
        assert kwargs.get('stop_after')
    # left to the garbage collection, they would take seconds to end
    iterator = getattr(made.train_dataloader, '_iterator', None)
    if iterator is not None:
        iterator._shutdown_workers()
    return made.model


def final(work_dir: Path) -> dict:
    return state_of(Path(latest_checkpoint(work_dir)))


@pytest.mark.parametrize('dataset', list(WRAPPED))
@pytest.mark.parametrize('workers', [0, 2])
def test_equal_ends(tmp_path, dataset, workers):
    whole = train(tmp_path / 'whole', dataset)
    # within the second epoch
    stop = len(whole.losses) // 4 + 2
    cut = train(tmp_path / 'cut', dataset, workers, stop_after=stop)
    rest = train(tmp_path / 'cut', dataset, workers, resume=True)
    assert cut.seen + rest.seen == whole.seen and cut.losses + rest.losses == whole.losses
    assert not differences(final(tmp_path / 'whole'), final(tmp_path / 'cut'))


BY_ITERATIONS = dict(_delete_=True, by_epoch=False, max_iters=12, val_interval=5)


@pytest.mark.parametrize('changes', [
    {'train_dataloader.batch_sampler': dict(type='AspectRatioBatchSampler')},
    {'optim_wrapper.accumulative_counts': 3},
    {'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='score', patience=0, factor=0.5)]},
    {'train_cfg.val_interval': 2, 'default_hooks.checkpoint.save_best': 'score',
     'default_hooks.checkpoint.rule': 'less'},
    {'train_dataloader.drop_last': True},
    {'train_dataloader.sampler.type': 'InfiniteSampler', 'train_cfg': BY_ITERATIONS},
    {'train_cfg': BY_ITERATIONS},
    {'randomness.seed': None},
    {'randomness.diff_rank_seed': True},
], ids=['aspect', 'accumulation', 'plateau', 'best', 'drop-last', 'infinite', 'iterations',
        'no-seed', 'rank-seed'])  # fmt: skip
@pytest.mark.parametrize('stop', [4, 6])
def test_equal_ends_with(tmp_path, changes, stop):
    if 'randomness.seed' in changes:
        # the seed that the whole run drew is that of its checkpoint
        train(tmp_path / 'cut', stop_after=stop, changes=changes)
        seed = read_checkpoint(latest_checkpoint(tmp_path / 'cut'))['meta']['seed']
        train(tmp_path / 'whole', changes={'randomness.seed': seed})
    else:
        train(tmp_path / 'whole', changes=changes)
        train(tmp_path / 'cut', stop_after=stop, changes=changes)
    train(tmp_path / 'cut', changes=changes, resume=True)
    assert not differences(final(tmp_path / 'whole'), final(tmp_path / 'cut'))


def test_a_run_differs_without_the_seeds_of_samples_or_of_iterations(tmp_path, monkeypatch):
    """The two causes of what was different, and that the tests above see either."""
    whole = train(tmp_path / 'whole').losses
    for name, missing in [
        ('samples', 'shufflenet_det.data.ordered_batches.np.random.SeedSequence'),
        ('iterations', 'shufflenet_det.engine.iteration_seed.set_random_seed'),
    ]:
        with monkeypatch.context() as patch:
            if name == 'samples':
                patch.setattr('shufflenet_det.data.ordered_batches.read_seeded',
                              lambda dataset, batch: [dataset[i] for i in batch.indices])
            else:
                patch.setattr(missing, lambda seed: None)
            cut = train(tmp_path / name, stop_after=6, workers=1).losses
            cut += train(tmp_path / name, resume=True, workers=1).losses
        assert cut != whole


def log_of(work_dir: Path) -> str:
    return '\n'.join(path.read_text() for path in work_dir.rglob('*.log'))


SAID = {'log_level': 'INFO'}


@pytest.mark.parametrize('batch_size', [2, 4])
def test_another_batch_size_goes_on_with_what_is_left_of_the_epoch(tmp_path, batch_size):
    first = train(tmp_path, stop_after=6).seen
    changes = {'train_dataloader.batch_size': batch_size, **SAID}
    second = train(tmp_path, resume=True, changes=changes).seen
    # 4 batches an epoch; the run stopped after 2 of the second
    left = -(-4 // batch_size)
    epoch = [i for batch in first[4:] + second[:left] for i in batch]
    assert sorted(epoch) == list(range(10))
    of_an_epoch = -(-10 // batch_size)
    assert len(second) == left + 2 * of_an_epoch
    log = log_of(tmp_path)
    assert f'batch_size 3 -> {batch_size}' in log and 'were not used in it' in log
    meta = read_checkpoint(latest_checkpoint(tmp_path))['meta']
    assert meta['iter'] == 4 * of_an_epoch


def test_a_second_change_within_an_epoch(tmp_path):
    seen = train(tmp_path, stop_after=5, seed=1).seen
    seen += train(tmp_path, resume=True, stop_after=7, seed=1,
                  changes={'train_dataloader.batch_size': 2}).seen  # fmt: skip
    third = train(tmp_path, resume=True, seed=1).seen
    epoch = [i for batch in seen[4:] + third[:-8] for i in batch]
    assert sorted(epoch) == list(range(10))


def test_other_processes_take_what_is_left(tmp_path, monkeypatch):
    first = train(tmp_path, stop_after=6).seen
    left = sorted(set(range(10)) - {i for batch in first[4:] for i in batch})
    shares = []
    for rank in range(2):
        monkeypatch.setattr('shufflenet_det.engine.loops.get_dist_info', lambda r=rank: (r, 2))
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, 2))
        made = runner(tmp_path, resume=True)
        made._train_loop = made.build_train_loop(made._train_loop)
        made.optim_wrapper = made.build_optim_wrapper(made.optim_wrapper)
        made.param_schedulers = made.build_param_scheduler(made.param_schedulers)
        made.call_hook('before_run')
        made.load_or_resume()
        loop = made.train_loop
        loop.batches.epoch = loop.epoch
        loop._enter_epoch()
        shares += [i for batch in loop.batches for i in batch.indices]
    assert sorted(shares) == left


def test_another_data_set_within_an_epoch_is_refused(tmp_path):
    train(tmp_path, stop_after=6)
    with pytest.raises(ConfigError, match='10 samples, and the data set has 14 now'):
        train(tmp_path, 'concat', resume=True)


def rates(work_dir: Path) -> list[float]:
    hub = read_checkpoint(latest_checkpoint(work_dir))['message_hub']
    return hub['log_scalars']['train/lr'].data[0].tolist()


@pytest.mark.parametrize('stop', [6, 16])
@pytest.mark.parametrize('changes, said', [
    ({'train_cfg.max_epochs': 6, 'param_scheduler.1.T_max': 6}, 'T_max 4 -> 6'),
    ({'optim_wrapper.optimizer.lr': 0.05}, 'lr 0.1 -> 0.05'),
    ({'optim_wrapper.optimizer.momentum': 0.8}, 'momentum 0.9 -> 0.8'),
    ({'param_scheduler': [dict(type='MultiStepLR', milestones=[1, 3], by_epoch=True)]},
     '2 schedulers -> 1'),
])  # fmt: skip
def test_the_schedule_is_that_of_the_config(tmp_path, changes, said, stop):
    changes = {'train_cfg.max_epochs': 5, **changes}
    train(tmp_path / 'whole', changes=changes)
    train(tmp_path / 'cut', stop_after=stop)
    train(tmp_path / 'cut', changes={**changes, **SAID}, resume=True)
    assert rates(tmp_path / 'cut')[stop:] == rates(tmp_path / 'whole')[stop:]
    ends = [final(tmp_path / name) for name in ('whole', 'cut')]
    assert not differences(*(end['param_schedulers'] for end in ends))
    for groups in zip(*(end['optimizer']['param_groups'] for end in ends), strict=True):
        assert not differences(*groups)
    assert said in log_of(tmp_path / 'cut')


def test_more_epochs_alone_are_said_and_change_no_rate(tmp_path):
    train(tmp_path, stop_after=6)
    train(tmp_path, resume=True, changes={'train_cfg.max_epochs': 5, **SAID})
    log = log_of(tmp_path)
    assert 'max_epochs 4 -> 5' in log and 'learning rate' not in log


def test_nothing_is_said_where_nothing_has_changed(tmp_path):
    train(tmp_path, stop_after=6)
    train(tmp_path, resume=True, changes=SAID)
    assert 'another setting' not in log_of(tmp_path)


def test_a_validation_that_was_missed_is_made_up_for_once(tmp_path, monkeypatch):
    changes = {'default_hooks.checkpoint.by_epoch': True, **SAID}

    def stop(self, results: list) -> dict:
        raise Stop

    with monkeypatch.context() as patch:
        # behind the checkpoint of the epoch
        patch.setattr('tests.engine.toy.Score.compute_metrics', stop)
        train(tmp_path, changes=changes, stop_after=100)
    train(tmp_path, resume=True, changes=changes, stop_after=6)
    log = log_of(tmp_path)
    assert log.count('after iteration 4 is made up for') == 1
    assert log.count('Epoch(val) [1][5/5]    score') == 1


def test_what_a_batch_augmentation_drew_is_kept(tmp_path):
    def with_size(resume: bool, stop: int | None):
        made = runner(tmp_path, resume=resume, stop_after=stop)
        made.model.augment = torch.nn.Identity()
        made.model.augment._input_size = None
        return made

    first = with_size(False, 6)
    first.model.augment._input_size = (64, 96)
    with pytest.raises(Stop):
        first.train()
    second = with_size(True, 7)
    with pytest.raises(Stop):
        second.train()
    assert second.model.augment._input_size == (64, 96)


