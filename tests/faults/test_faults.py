"""What machines do to a training: it ends with a message, and all that it had is there."""
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from ..zygote import kill
from . import tiny
from .conftest import Training
from .test_kills import two_processes
from .tiny import differences

pytestmark = pytest.mark.faults


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def last_line(output: str) -> str:
    return [line for line in output.splitlines() if line.strip()][-1]


def named_error(ended) -> str:
    assert ended.status == 1 and 'Traceback' not in ended.output, ended.output[-3000:]
    line = last_line(ended.output)
    assert line.startswith('error: '), line
    return line


def test_a_full_disk_leaves_the_last_checkpoint_whole(training: Training, whole):
    size = (training.root / 'whole/epoch_3.pth').stat().st_size
    # the first epoch's checkpoint has no momentum of its own yet, so let one through
    training.run('full', '--cfg-options', 'train_cfg.max_epochs=1')
    before = (training.root / 'full/epoch_1.pth').read_bytes()
    error = named_error(training.run('full', '--resume', largest_file=size // 2))
    assert 'epoch_2.pth' in error and 'epoch_1.pth' in error and '--resume' in error
    assert (training.root / 'full/epoch_1.pth').read_bytes() == before
    assert not list((training.root / 'full').glob('.*partial'))
    assert training.run('full', '--resume').status == 0
    assert not differences(whole, training.end('full'))


def test_sigterm_saves_and_says_so(training: Training, whole):
    for number, workers in enumerate((0, 2)):
        name = f'term-{number}'
        more = ['--cfg-options', f'train_dataloader.num_workers={workers}']
        pid = training.start(name, *more)
        wait_for(lambda name=name: 'Epoch(train) [2][1/4]' in training.output(name))
        kill(pid, signal.SIGTERM)
        assert training.zygote.wait(pid) == 143, training.output(name)[-3000:]
        output = training.output(name)
        assert 'Traceback' not in output
        saved = re.search(r'by SIGTERM after iteration (\d+), which is saved in (\S+):', output)
        assert saved and Path(saved[2]).exists()
        ended = training.run(name, '--resume', *more)
        assert ended.status == 0, ended.output[-3000:]
        logs = ''.join(path.read_text() for path in (training.root / name).rglob('*.log'))
        assert f'iter: {saved[1]}' in logs
        assert not differences(whole, training.end(name))
        assert not Path(saved[2]).exists(), 'kept behind the next checkpoint'


def test_sigterm_to_two_processes(training: Training):
    pids = two_processes(training, 'term-pair')
    wait_for(lambda: 'Epoch(train) [2][1/2]' in training.output('term-pair'))
    for pid in pids:
        kill(pid, signal.SIGTERM)
    ends = [training.zygote.wait(pid, 60) for pid in pids]
    assert ends == [143, 143], training.output('term-pair')[-3000:]
    assert 'which is saved in' in training.output('term-pair')


def test_a_process_of_two_that_dies(training: Training):
    pids = two_processes(training, 'widow')
    wait_for(lambda: 'Epoch(train) [2][1/2]' in training.output('widow'))
    kill(pids[1])
    start = time.monotonic()
    assert training.zygote.wait(pids[0], 60) == 1
    assert time.monotonic() - start < 60
    assert training.zygote.wait(pids[1]) == -9
    output = training.output('widow')
    assert 'Traceback' not in output and 'another process of this job has ended' in output


def test_a_worker_that_dies(training: Training):
    more = ['--cfg-options', 'train_dataloader.num_workers=1', 'train_cfg.max_epochs=40',
            'train_dataloader.persistent_workers=True']  # fmt: skip
    pid = training.start('worker', *more)
    wait_for(lambda: training.output('worker').count(' - Epoch(train)') > 4)
    for worker in Path(f'/proc/{pid}/task/{pid}/children').read_text().split():
        os.kill(int(worker), signal.SIGKILL)
    assert training.zygote.wait(pid, 60) == 1
    output = training.output('worker')
    assert 'Traceback' not in output, output[-3000:]
    assert 'a worker process that reads images was lost (Killed)' in last_line(output)


def test_a_data_folder_that_is_gone_for_a_while(training: Training, whole):
    images, away = training.data / 'train2017', training.data / 'away'
    pid = training.start('share')
    wait_for(lambda: 'Epoch(train) [2][1/4]' in training.output('share'))
    images.rename(away)
    try:
        wait_for(lambda: 'is not there' in training.output('share'), 30)
    finally:
        away.rename(images)
    assert training.zygote.wait(pid) == 0, training.output('share')[-3000:]
    assert not differences(whole, training.end('share'))


def test_a_data_folder_that_stays_away(training: Training):
    data = shutil.copytree(training.data, training.root / 'lost')
    command = training.command('gone')
    command['SAMPLE_DATA_ROOT'] = str(data)
    pid = training.zygote.start(**command, SHUFFLENET_DATA_PATIENCE='2')
    wait_for(lambda: 'Epoch(train) [2][1/4]' in training.output('gone'))
    shutil.rmtree(data / 'train2017')
    assert training.zygote.wait(pid, 60) == 1
    output = training.output('gone')
    assert 'Traceback' not in output and 'cannot read image' in last_line(output)


def test_a_loss_that_is_no_number(training: Training):
    config = tiny.write_config(
        training.root / 'diverging.py', "optim_wrapper = dict(clip_grad=None)\n"
    )
    training.run('nan', '--cfg-options', 'train_cfg.max_epochs=1', config=config)
    before = (training.root / 'nan/epoch_1.pth').read_bytes()
    error = named_error(training.run('nan', '--resume', '--cfg-options',
                                     'optim_wrapper.optimizer.lr=1e30', config=config))  # fmt: skip
    assert 'diverged' in error and 'epoch_1.pth' in error
    assert (training.root / 'nan/epoch_1.pth').read_bytes() == before


def test_the_images_of_a_batch_that_is_no_number_are_named(training: Training):
    config = tiny.write_config(
        training.root / 'infinite.py',
        'model = dict(data_preprocessor=dict(std=[0.0, 57.12, 57.375]))\n',
    )
    error = named_error(training.run('infinite', config=config))
    assert re.search(r'images of the last batch: \S+/train2017/\d+\.jpg, \S+\.jpg\.', error)
