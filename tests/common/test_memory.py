"""Freed memory stays with the process, where its allocator can be told so."""
import subprocess
import sys

from shufflenet_det.common import memory

import pytest

FAULTS = """
import resource, sys, torch
from shufflenet_det.common.memory import keep_freed_memory
if sys.argv[1] == 'keep':
    assert keep_freed_memory()
torch.set_num_threads(1)
# the first places may have something small left in them that was allocated in between
for _ in range(8):
    torch.zeros(2**25)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.zeros(2**25)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that are cleared anew for 128 MiB that were freed before."""
    done = subprocess.run(
        [sys.executable, '-c', FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != 'linux', reason='asks the allocator of Linux')
def test_freed_memory_is_used_again(monkeypatch):
    for name in memory._OTHERS:
        monkeypatch.delenv(name, raising=False)
    returned, kept = faults('return'), faults('keep')
    if returned < 1000:
        pytest.skip('this allocator keeps memory anyway')
    assert kept < returned / 10


@pytest.mark.parametrize('name', memory._OTHERS)
def test_the_users_settings_stay(name, monkeypatch):
    monkeypatch.setenv(name, '1')
    assert not memory.keep_freed_memory()


def test_other_libraries_are_left_alone(monkeypatch):
    for name in memory._OTHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(memory.ctypes, 'CDLL', lambda name: object())
    assert not memory.keep_freed_memory()
