"""Beside compiled mmcv: its operators run, and the package leaves the import system alone.

Compiled mmcv cannot be had without a compiler, so a module stands in for ``mmcv._ext`` that counts
how often it is called.
"""
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT

EXT = '''
"""What a compiled module offers of what is called here; each call is counted."""
from collections import Counter

import torchvision

calls = Counter()


def nms(boxes, scores, iou_threshold, offset):
    calls['nms'] += 1
    return torchvision.ops.nms(boxes, scores, float(iou_threshold))


def roi_align_forward(input, rois, output, *args, **kwargs):
    calls['roi_align_forward'] += 1
    output.fill_(0.25)


def __getattr__(name):
    if name.startswith('_'):
        raise AttributeError(name)
    def operator(*args, **kwargs):
        raise NotImplementedError(name)
    return operator
'''

CODE = """
import json, sys
import shufflenet_det
import mmcv._ext, torch
from mmcv.ops import RoIAlign, nms
from shufflenet_det.compat import mmcv_ext

boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
kept = nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5)[1].tolist()
pooled = RoIAlign(2)(torch.zeros(1, 1, 8, 8), torch.tensor([[0., 0, 0, 4, 4]])).unique().tolist()
by_hand = dict(mmcv._ext.calls)

from mmdet.registry import MODELS
from mmengine.config import Config
from shufflenet_det.swap import trial
cfg = Config.fromfile('configs/sample/faster-rcnn_shufflenet-v1-0.5x-g3_light_sample-300.py')
model = trial.build(cfg)
model.init_weights()
model.eval()
with torch.no_grad():
    model.test_step(trial.pictures(cfg, (96, 128), count=1))
print(json.dumps(dict(
    stand_in=mmcv_ext.install(),
    finders=[type(f).__name__ for f in sys.meta_path if type(f).__module__ == mmcv_ext.__name__],
    origin=mmcv._ext.__spec__.origin,
    kept=kept, pooled=pooled, by_hand=by_hand, by_detector=mmcv._ext.calls,
)))
"""


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an mmcv that has the files of the installed one, and ``_ext`` besides."""
    root = tmp_path_factory.mktemp('site')
    (root / 'mmcv').mkdir()
    (installed,) = importlib.util.find_spec('mmcv').submodule_search_locations
    for path in Path(installed).iterdir():
        if not path.name.startswith(('__pycache__', '_ext')):
            (root / 'mmcv' / path.name).symlink_to(path)
    (root / 'mmcv' / '_ext.py').write_text(EXT)
    return root


def test_compiled_operators_run_and_nothing_else_is_provided(site: Path):
    path = os.pathsep.join(map(str, (site, ROOT)))
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', CODE], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | dict(PYTHONPATH=path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found['stand_in'] is False and found['finders'] == []
    assert found['origin'] == str(site / 'mmcv' / '_ext.py')
    assert found['kept'] == [1, 2] and found['pooled'] == [0.25]
    assert found['by_hand'] == dict(nms=1, roi_align_forward=1)
    # of each of the two stages, and of each level of features
    assert found['by_detector']['nms'] > 1 and found['by_detector']['roi_align_forward'] > 1
