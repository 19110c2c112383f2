"""Trainings that are killed with SIGKILL and resumed end as one that was not, to the last bit."""
import random
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..zygote import kill
from .conftest import Training
from .tiny import differences, state_of

KILLS = 20


def resume_after_kill(training: Training, name: str, whole: dict, when: Callable, *more) -> str:
    """Start, kill when ``when`` is true, resume; what was there at the kill."""
    pid = training.start(name, *more)
    folder = training.root / name
    deadline = time.monotonic() + 120
    while not when(folder) and time.monotonic() < deadline:
        time.sleep(0.002)
    kill(pid)
    # 0 where it was done a moment before
    assert training.zygote.wait(pid) in (-9, 0), training.output(name)[-2000:]
    there = checkpoints_in(folder)
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


def steps(log: Path) -> int:
    """Iterations of training and validation that a log tells of."""
    return log.read_text(errors='replace').count(' - Epoch(') if log.exists() else 0


def at_random(training: Training, name: str, most: int, rng: random.Random) -> Callable:
    """After a random iteration, and a random time behind it; the place of ``time`` on a machine
    that others use, too."""
    step, behind = rng.randrange(most), rng.uniform(0, 0.4)
    moment = None

    def reached(folder: Path) -> bool:
        nonlocal moment
        if moment is None and steps(training.root / f'{name}.log') >= step:
            moment = time.monotonic() + behind
        return moment is not None and time.monotonic() > moment

    return reached


@pytest.mark.faults
@pytest.mark.parametrize('workers', [0, 2])
def test_kills_at_random_points(training: Training, whole, workers):
    more = ['--cfg-options', f'train_dataloader.num_workers={workers}',
            f'train_dataloader.persistent_workers={bool(workers)}']  # fmt: skip
    assert training.run(f'workers{workers}', *more).status == 0
    assert not differences(whole, training.end(f'workers{workers}'))
    most = steps(training.root / f'workers{workers}.log')
    rng = random.Random(workers)
    for number in range(KILLS):
        name = f'kill{workers}-{number}'
        when = at_random(training, name, most, rng)
        there = resume_after_kill(training, name, whole, when, *more)
        print(f'{workers} workers, kill {number} with {there}: equal end')


@pytest.mark.faults
def test_kills_while_a_checkpoint_is_written(training: Training):
    # one after each iteration, so that some are within an epoch
    more = ['--cfg-options', 'default_hooks.checkpoint.by_epoch=False']
    assert training.run('iterations', *more).status == 0
    whole = end_of(training.root / 'iterations')
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
        assert not differences(whole, end_of(training.root / name))
        print(f'killed while checkpoint {name} was written: equal end')


def end_of(folder: Path) -> dict:
    return state_of(Path((folder / 'last_checkpoint').read_text()))


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
    pids = two_processes(training, 'pair')
    assert [training.zygote.wait(pid) for pid in pids] == [0, 0], training.output('pair')[-3000:]
    whole, most = training.end('pair'), steps(training.root / 'pair.log')
    rng = random.Random(2)
    for number in range(KILLS):
        name = f'pair-{number}'
        when = at_random(training, name, most, rng)
        pids = two_processes(training, name)
        while not when(training.root / name):
            time.sleep(0.002)
        for pid in pids:
            kill(pid)
        assert {training.zygote.wait(pid) for pid in pids} <= {-9, 0}
        there = checkpoints_in(training.root / name)
        pids = two_processes(training, name, '--resume')
        ends = [training.zygote.wait(pid) for pid in pids]
        assert ends == [0, 0], training.output(name)[-3000:]
        assert not differences(whole, training.end(name))
        print(f'2 processes, kill {number} with {there}: equal end')


def checkpoints_in(folder: Path) -> str:
    return ' '.join(sorted(p.name for p in folder.glob('*') if 'epoch' in p.name)) or 'nothing'


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
