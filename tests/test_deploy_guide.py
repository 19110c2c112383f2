"""docs/deploy.md, followed to the letter, from a checkpoint to a fresh environment."""
import json
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

from shufflenet_det.data.sample import make_sample

import cv2
import pytest
import torch

from .conftest import ROOT
from .documents import run_document
from .export.detectors import random_detector, sample_config

GUIDE = ROOT / 'docs' / 'deploy.md'
CHECKPOINT = 'work_dirs/demo/300/epoch_4.pth'
INSTALL = "runtime/bin/pip install './shufflenet_runtime[onnxruntime]'"
# what the runtime names as its dependencies
PACKAGES = ('numpy', 'opencv-python-headless', 'onnxruntime')


def link_packages(environment: Path) -> None:
    """Put the runtime and what it needs into an environment, without a network."""
    venv.create(environment, with_pip=False)
    (target,) = environment.glob('lib/python*/site-packages')
    for name in PACKAGES:
        top = {Path(file).parts[0] for file in metadata.files(name)} - {'..'}
        for part in top:
            (target / part).symlink_to(Path(metadata.distribution(name).locate_file(part)))
    wheels, source = environment / 'wheels', environment / 'source'
    # pip builds where the source is
    shutil.copytree(ROOT / 'shufflenet_runtime', source, ignore=shutil.ignore_patterns('build'))
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
         '--wheel-dir', str(wheels), str(source)],
        check=True,
    )  # fmt: skip
    (wheel,) = wheels.iterdir()
    assert wheel.stat().st_size < 60_000
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', str(target),
         str(wheel)],
        check=True,
    )  # fmt: skip


def files_of_the_demo(folder: Path) -> None:
    """What `make demo` leaves behind and the page starts with, but of random weights."""
    make_sample(folder / 'data' / 'sample', train=4, val=4)
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    model = random_detector(sample_config('c4'))
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / CHECKPOINT)


def check_results(folder: Path) -> None:
    entries = json.loads((folder / 'found.json').read_text())
    pictures = sorted((folder / 'data/sample/val2017').iterdir())
    assert [Path(entry['image']).name for entry in entries] == [path.name for path in pictures]
    assert any(entry['detections'] for entry in entries)
    for path in pictures:
        assert cv2.imread(str(folder / 'found' / path.name)) is not None


def python_example(image: Path) -> str:
    example = ''.join(re.findall(r'```python\n(.*?)```', GUIDE.read_text(), re.DOTALL))
    path = 'data/sample/val2017/000000000140.jpg'
    assert path in example
    return example.replace(path, str(image)).replace('score_threshold=0.3', 'score_threshold=0.05')


def test_guide_runs_as_written_with_linked_packages(tmp_path):
    files_of_the_demo(tmp_path)
    text = GUIDE.read_text()
    assert f'python3 -m venv runtime\n{INSTALL}\n' in text
    # without a network; and a detector of random weights is sure of nothing
    text = text.replace(f'python3 -m venv runtime\n{INSTALL}\n', '')
    (tmp_path / 'guide.md').write_text(
        text.replace('--json found.json', '--json found.json --score-threshold 0.05')
        .replace('--out exported', '--out exported --images data/sample/val2017')
    )
    link_packages(tmp_path / 'runtime')
    output = run_document(tmp_path / 'guide.md', tmp_path, PYTHONPATH='')
    assert 'wrote found.json; wrote found' in output
    check_results(tmp_path)
    (image, *_) = sorted((tmp_path / 'data/sample/val2017').iterdir())
    printed = subprocess.run(
        ['runtime/bin/python', '-c', python_example(image)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert re.search(r'^\w+ [01]\.\d\d \[', printed)
    # nothing of the training is there
    missing = subprocess.run(
        ['runtime/bin/python', '-c', 'import torch'], cwd=tmp_path, capture_output=True, check=False
    )
    assert missing.returncode != 0


@pytest.mark.slow
def test_fresh_environment_as_written(tmp_path):
    """As above, but pip installs the runtime; needs a package index."""
    files_of_the_demo(tmp_path)
    (tmp_path / 'guide.md').write_text(
        GUIDE.read_text()
        .replace('--json found.json', '--json found.json --score-threshold 0.05')
        .replace('--out exported', '--out exported --images data/sample/val2017')
    )
    run_document(tmp_path / 'guide.md', tmp_path, PYTHONPATH='')
    check_results(tmp_path)
    (site,) = (tmp_path / 'runtime').glob('lib/python*/site-packages')
    assert not (site / 'torch').exists() and not (site / 'shufflenet_det').exists()
