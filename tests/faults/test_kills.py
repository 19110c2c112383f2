"""Trainings that are killed with SIGKILL and resumed end as one that was not, to the last bit."""
import random
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Training
from .tiny import differences, state_of
from .zygote import kill

KILLS = 20


def resume_after_kill(training: Training, name: str, whole: dict, when: Callable, *more) -> str:
    """Start, kill when ``when`` is true, resume; what was there at the kill."""
    pid = training.start(name, *more)
    folder = training.root / name
    deadline = time.monotonic() + 120
    while not when(folder) and time.monotonic() < deadline:
        time.sleep(0.001)
    kill(pid)
    assert training.zygote.wait(pid) == -9, training.output(name)[-2000:]
    there = ' '.join(sorted(p.name for p in folder.glob('*') if 'epoch' in p.name)) or 'nothing'
    ended = training.run(name, '--resume', *more)
    assert ended.status == 0, ended.output[-3000:]
    assert not differences(whole, training.end(name)), f'{name}, killed with {there}'
    assert not list(folder.glob('.*partial'))
    return there


def test_a_killed_detector_ends_as_if_nothing_had_happened(training: Training, whole):
    there = resume_after_kill(
        training, 'killed', whole, lambda folder: (folder / 'last_checkpoint').exists()
    )
    assert 'epoch_1.pth' in there


def at(seconds: float) -> Callable[[Path], bool]:
    moment = time.monotonic() + seconds
    return lambda folder: time.monotonic() > moment


def length_of(training: Training, name: str, *more: str) -> float:
    start = time.monotonic()
    assert training.run(name, *more).status == 0
    return time.monotonic() - start


@pytest.mark.faults
@pytest.mark.parametrize('workers', [0, 2])
def test_kills_at_random_points(training: Training, whole, workers):
    more = ['--cfg-options', f'train_dataloader.num_workers={workers}',
            f'train_dataloader.persistent_workers={bool(workers)}']  # fmt: skip
    length = length_of(training, f'timed{workers}', *more)
    assert not differences(whole, training.end(f'timed{workers}'))
    rng = random.Random(workers)
    for number in range(KILLS):
        moment = length * rng.uniform(0.1, 1.0)
        there = resume_after_kill(training, f'kill{workers}-{number}', whole, at(moment), *more)
        print(f'{workers} workers, kill {number} after {moment:.2f} s with {there}: equal end')


@pytest.mark.faults
def test_kills_while_a_checkpoint_is_written(training: Training, whole):
    # one after each iteration, so that some are within an epoch
    more = ['--cfg-options', 'default_hooks.checkpoint.by_epoch=False']
    rng = random.Random(0)
    for number in range(6):
        left = rng.randrange(1, 10)

        def writing(folder: Path) -> bool:
            nonlocal left
            left -= (partial := any(folder.glob('.*partial')))
            # one and the same writing counts once
            while partial and left and any(folder.glob('.*partial')):
                time.sleep(0.0005)
            return left <= 0

        name = f'writing-{number}'
        pid = training.start(name, *more)
        while not writing(training.root / name):
            time.sleep(0.0005)
        kill(pid)
        training.zygote.wait(pid)
        ended = training.run(name, '--resume', *more)
        assert ended.status == 0, ended.output[-3000:]
        end = training.root / name / (training.root / name / 'last_checkpoint').read_text()
        state = state_of(end)
        meta, expected = state.pop('meta'), dict(whole)
        assert meta['iter'] == expected.pop('meta')['iter']
        assert not differences(expected, state)


def two_processes(training: Training, name: str, *more: str) -> list[int]:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    return [
        training.start(name, '--launcher', 'pytorch', *more, RANK=str(rank), LOCAL_RANK=str(rank),
                       WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
        for rank in range(2)
    ]  # fmt: skip


@pytest.mark.faults
def test_kills_of_two_processes(training: Training):
    start = time.monotonic()
    pids = two_processes(training, 'pair')
    assert [training.zygote.wait(pid) for pid in pids] == [0, 0], training.output('pair')[-3000:]
    length, whole = time.monotonic() - start, training.end('pair')
    rng = random.Random(2)
    for number in range(KILLS):
        name, moment = f'pair-{number}', length * rng.uniform(0.1, 1.0)
        pids = two_processes(training, name)
        time.sleep(moment)
        for pid in pids:
            kill(pid)
        assert [training.zygote.wait(pid) for pid in pids] == [-9, -9]
        pids = two_processes(training, name, '--resume')
        ends = [training.zygote.wait(pid) for pid in pids]
        assert ends == [0, 0], training.output(name)[-3000:]
        assert not differences(whole, training.end(name))
        print(f'2 processes, kill {number} after {moment:.2f} s: equal end')


@pytest.mark.faults
def test_one_process_goes_on_with_the_epoch_of_two(training: Training):
    pids = two_processes(training, 'fewer', '--cfg-options', 'default_hooks.checkpoint.by_epoch='
                         'False', 'train_cfg.max_epochs=1', 'default_hooks.checkpoint.interval=1')
    while not (training.root / 'fewer/iter_1.pth').exists():
        time.sleep(0.001)
    for pid in pids:
        kill(pid)
        training.zygote.wait(pid)
    ended = training.run('fewer', '--resume')
    assert ended.status == 0, ended.output[-3000:]
    assert re.search('processes 2 -> 1', ended.output)
