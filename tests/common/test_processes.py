"""Processes that work for another one."""
import subprocess
import sys

from ..conftest import ROOT


def test_a_process_ends_with_the_one_that_started_it():
    code = (
        'import time; from shufflenet_det.common.processes import end_with; '
        'end_with(-1); time.sleep(60)'
    )
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode == 1
