"""The demo itself, twice: minutes long, so it runs with `make test-all`."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT


def run_demo(folder: Path, data: Path, *options: str) -> None:
    subprocess.run(
        [sys.executable, 'tools/demo.py', '--work-dir', folder, '--data', data, *options],
        cwd=ROOT,
        check=True,
    )


def precision(folder: Path) -> dict[int, float]:
    assert (folder / 'detections_300.jpg').exists() and (folder / 'detections_600.jpg').exists()
    for page in ('detectors.html', 'classifier.html'):
        assert 1e6 < (folder / page).stat().st_size < 5e6
    return {
        resolution: json.loads((folder / str(resolution) / 'metrics.json').read_text())['metrics'][
            'coco/bbox_mAP'
        ]
        for resolution in (300, 600)
    }


@pytest.mark.slow
def test_demo_learns_and_repeats_and_pretraining_helps(tmp_path):
    run_demo(tmp_path / 'first', tmp_path / 'data', '--scratch')
    run_demo(tmp_path / 'second', tmp_path / 'data')
    first, second = precision(tmp_path / 'first'), precision(tmp_path / 'second')
    scratch = precision(tmp_path / 'first' / 'scratch')
    for resolution in (300, 600):
        assert second[resolution] == pytest.approx(first[resolution], abs=1e-3)
        assert first[resolution] > scratch[resolution] >= 0.30
