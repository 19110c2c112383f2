"""How tools end."""
import subprocess
import sys

import pytest

from ..conftest import ROOT

SCRIPT = """
import atexit
import sys

import torch
from shufflenet_det.common import cli


def main():
    if sys.argv[1] == 'group':
        torch.distributed.init_process_group(
            'gloo', init_method='file://' + sys.argv[2], rank=0, world_size=1
        )
    atexit.register(print, 'at exit')
    print('done')
    if sys.argv[3:]:
        raise FileNotFoundError('no such thing')


cli.run(main)
print('behind')
"""


@pytest.mark.parametrize(
    'mode, printed',
    [('alone', ['done', 'behind', 'at exit']), ('group', ['done', 'at exit'])],
)
def test_a_process_of_several_ends_without_taking_python_apart(tmp_path, mode, printed):
    process = run(mode, tmp_path / 'store')
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == printed


def test_an_error_is_an_error_in_a_group_too(tmp_path):
    process = run('group', tmp_path / 'store', 'fail')
    assert process.returncode == 1 and 'error: no such thing' in process.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    script = (
        'from shufflenet_det.common import cli\n'
        'cli.run(lambda: [print(n, flush=True) for n in range(100_000)])'
    )
    tool = subprocess.Popen(
        [sys.executable, '-c', script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert tool.stdout.readline() == b'0\n'
    tool.stdout.close()
    assert tool.stderr.read() == b''
    # what a shell says of a program that SIGPIPE has ended
    assert tool.wait() == 141


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', SCRIPT, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
