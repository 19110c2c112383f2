"""What MMDetection's packages do without this one: the reason for what is mended.

A test that fails here tells that a stack has changed, and that a part of ``compat`` may go.
"""
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from shufflenet_det.compat import mmcv_ext

import pytest

IS_ONEDL = 'onedl-mmengine' in packages_distributions()['mmengine']

LOADING = """
import sys
import torch
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

class Code:
    def __reduce__(self):
        return exec, ('print("CODE OF THE FILE RAN")',)

hub = MessageHub.get_instance('run')
hub.update_scalar('train/loss', 1.0)
parts = dict(own=hub.state_dict(), evil=Code())
for name, part in parts.items():
    torch.save(dict(state_dict={}, part=part), name)
    try:
        CheckpointLoader.load_checkpoint(name, 'cpu')
    except Exception as error:
        print(name, 'refused')
    else:
        print(name, 'loaded')
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=folder,
                          capture_output=True, text=True)  # fmt: skip


def test_checkpoints(tmp_path):
    """OpenMMLab's refuses its own, OneDL's runs the code of any file."""
    said = run(LOADING, tmp_path).stdout
    if IS_ONEDL:
        assert 'own loaded' in said
        assert said.index('CODE OF THE FILE RAN') < said.index('evil loaded')
    else:
        assert 'own refused' in said and 'evil refused' in said
        assert 'CODE OF THE FILE RAN' not in said


def test_operators(tmp_path):
    if not mmcv_ext.install():
        pytest.skip('compiled mmcv is installed: nothing is lacking')
    result = run('import mmcv.ops', tmp_path)
    assert result.returncode == 1 and "No module named 'mmcv._ext'" in result.stderr
