"""The contract of imports in pyproject.toml holds, and catches what it is there to catch."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

PACKAGES = ('shufflenet_det', 'shufflenet_runtime')
pytest.importorskip('importlinter', reason='import-linter is in the extra `dev`')


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = 'import sys; from importlinter.cli import lint_imports_command as run; run()'
    return subprocess.run(
        [sys.executable, '-c', command, '--no-cache'], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture(scope='module')
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('house')
    for package in PACKAGES:
        ignore = shutil.ignore_patterns('__pycache__', '.*')
        shutil.copytree(ROOT / package, folder / package, ignore=ignore)
    shutil.copy(ROOT / 'pyproject.toml', folder)
    return folder


def test_the_packages_keep_the_contract(house):
    done = lint(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    'module, line, told',
    [
        ('shufflenet_det/models/widths.py', 'from ..weights import record', 'floors below'),
        ('shufflenet_det/data/coco.py', 'from ..evaluation import report', 'floors below'),
        (
            'shufflenet_det/engine/amp.py',
            'def late():\n    from ..export import exporting',
            'floors below',
        ),
        ('shufflenet_runtime/boxes.py', 'from shufflenet_det.common import tables', 'runtime'),
        ('shufflenet_runtime/images.py', 'def late():\n    import torch', 'runtime'),
        ('shufflenet_det/models/widths.py', 'from . import shufflenet_v1', 'circle'),
        ('shufflenet_det/swap/levels.py', 'from shufflenet_det import __version__', 'as a whole'),
    ],
)
def test_an_import_from_above_is_caught(house, module, line, told):
    path = house / module
    before = path.read_text()
    path.write_text(f'{before}\n{line}\n')
    try:
        done = lint(house)
    finally:
        path.write_text(before)
    assert done.returncode != 0
    broken = [row for row in done.stdout.splitlines() if 'BROKEN' in row]
    assert any(told in row for row in broken), done.stdout
