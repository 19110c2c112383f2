"""The estimate of the time left is right, by a clock of our own, and trackers are asked for."""
from types import SimpleNamespace

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.engine import ProgressHook, progress, setup

import pytest
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop


class Clock:
    """``time.monotonic`` that passes only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, 'monotonic', lambda: self.now)


def simulate(
    clock: Clock, by_epoch: bool, iteration: float, validation: float, val_interval: int
) -> tuple[list[tuple[float, float, str]], float]:
    """A training of 400 iterations (10 epochs of 40); the first iterations take ten times as long.

    Returns:
        For each line its time since the start, the seconds left that it was made of, and its text;
        and how long the training took.
    """
    lines, hook = [], ProgressHook()
    kind = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    loop = object.__new__(kind)
    data = SimpleNamespace(batch_size=8, dataset=range(100), __len__=None)
    loop.dataloader = type('Loader', (), {'__len__': lambda self: 40})()
    loop.val_begin, loop.val_interval = 1, val_interval
    runner = SimpleNamespace(
        iter=0, max_iters=400, train_loop=loop, train_dataloader=SimpleNamespace(
            batch_size=None, batch_sampler=SimpleNamespace(batch_size=8)
        ),
        val_loop=SimpleNamespace(dataloader=data), work_dir='w',
    )  # fmt: skip
    start = clock.now

    def log(text: str) -> None:
        if text.startswith('progress'):
            lines.append((clock.now - start, hook.seconds_left(runner, runner.iter + 1), text))

    runner.logger = SimpleNamespace(info=log)
    hook.before_train(runner)
    for runner.iter in range(400):
        clock.now += iteration * (10 if runner.iter < 2 else 1)
        hook.after_train_iter(runner, runner.iter)
        done = runner.iter + 1
        unit, last = (done / 40, 10) if by_epoch else (done, 400)
        if unit == int(unit) and (unit % val_interval == 0 or unit == last):
            hook.before_val(runner)
            clock.now += validation
            hook.after_val_epoch(runner, {'coco/bbox_mAP': done / 1000})
            hook.after_val(runner)
    return lines, clock.now - start


@pytest.mark.parametrize(
    ('by_epoch', 'val_interval'), [(True, 2), (True, 100), (False, 80), (False, 1000)]
)
@pytest.mark.parametrize('validation', [3.0, 8.0])
def test_estimate_is_right_within_a_fifth_after_a_minute(
    monkeypatch, by_epoch, val_interval, validation
):
    clock = Clock(monkeypatch)
    # a validation of 100 images without backward passes: 4 s by the first guess
    lines, whole = simulate(clock, by_epoch, 1.0, validation, val_interval)
    assert 5 <= len(lines) <= 1 + whole / 60
    for seconds, left, _ in lines:
        if seconds >= 60:
            assert left == pytest.approx(whole - seconds, rel=0.2)
    if 'best' in lines[-1][2]:
        # once a validation was measured there is nothing left to guess
        assert lines[-1][1] == pytest.approx(whole - lines[-1][0], rel=0.02)


def test_line_says_how_far_how_good_and_how_long(monkeypatch):
    lines, _ = simulate(Clock(monkeypatch), True, 1.0, 5.0, 2)
    assert 'of 400 iterations (' in lines[0][2]
    assert 'mAP' not in lines[0][2]
    assert 'mAP 0.320 at iteration 319, best 0.320' in lines[-1][2]


def test_training_without_validation_has_none_to_come():
    runner = SimpleNamespace(val_loop=None, train_loop=None)
    assert progress.validations_left(runner, 5) == 0


def test_trackers_are_added_to_what_is_there(monkeypatch):
    monkeypatch.setattr(setup, 'find_spec', lambda name: object())
    visualizer = dict(type='V', vis_backends=[dict(type='LocalVisBackend')])
    cfg = Config(dict(work_dir='work_dirs/mine', visualizer=visualizer))
    setup.add_tracking(cfg, tensorboard=True, wandb='birds')
    kinds = [backend['type'] for backend in cfg.visualizer.vis_backends]
    assert kinds == ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
    assert cfg.visualizer.type == 'V'
    assert cfg.visualizer.vis_backends[2].init_kwargs == dict(project='birds', name='mine')
    untouched = Config(dict(work_dir='w'))
    setup.add_tracking(untouched)
    assert 'visualizer' not in untouched


@pytest.mark.parametrize('option', ['tensorboard', 'wandb'])
def test_tracker_that_is_not_installed_is_an_error_with_the_remedy(monkeypatch, option):
    monkeypatch.setattr(setup, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match=f'pip install {option}'):
        setup.add_tracking(Config(dict(work_dir='w')), **{option: 'x'})
