"""Errors of the machine, in words that say what to do."""
import errno
import signal

from shufflenet_det.common.failures import explain

import pytest


@pytest.fixture(autouse=True)
def torchs_handler():
    """What torch waits with for its workers, which a tool that ends needs no more."""
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, handler)


@pytest.mark.parametrize(
    'error, cause, remedy',
    [
        (OSError(errno.ENOSPC, 'No space left', 'epoch_1.pth'), 'epoch_1.pth', '--resume'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), 'Killed', 'N;'),
        (RuntimeError('Connection reset by peer'), 'another process', '--resume'),
        (MemoryError(), 'out of memory', 'smaller'),
    ],
)
def test_the_cause_and_the_remedy_are_named(error, cause, remedy):
    message = explain(error)
    assert cause in message and remedy in message


def test_an_error_of_the_program_is_left_to_its_traceback():
    assert explain(ValueError('boxes of no width')) is None
