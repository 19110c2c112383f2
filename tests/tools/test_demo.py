"""The demo itself, twice: minutes long, so it runs with `make test-all`."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT


def run_demo(folder: Path, data: Path) -> dict[int, float]:
    subprocess.run(
        [sys.executable, 'tools/demo.py', '--work-dir', str(folder), '--data', str(data)],
        cwd=ROOT,
        check=True,
    )
    assert (folder / 'detections_300.jpg').exists() and (folder / 'detections_600.jpg').exists()
    return {
        resolution: json.loads((folder / str(resolution) / 'metrics.json').read_text())['metrics'][
            'coco/bbox_mAP'
        ]
        for resolution in (300, 600)
    }


@pytest.mark.slow
def test_demo_learns_and_repeats(tmp_path):
    first = run_demo(tmp_path / 'first', tmp_path / 'data')
    second = run_demo(tmp_path / 'second', tmp_path / 'data')
    for resolution in (300, 600):
        assert first[resolution] >= 0.30
        assert second[resolution] == pytest.approx(first[resolution], abs=1e-3)
