"""One-stage detectors from end to end, in every engine."""
import copy
import json
import subprocess
import sys
from pathlib import Path

from shufflenet_det.export import FORMATS
from shufflenet_det.export.agreement import compare
from shufflenet_det.export.decisive import make_decisive
from shufflenet_det.export.deformable import use_sampling
from shufflenet_det.export.networks import Exportable, exportable
from shufflenet_det.export.writers import WRITERS
from shufflenet_det.models import switch_to_deploy
from shufflenet_runtime.description import write_description

import cv2
import numpy as np
import pytest
import torch
from mmdet.models import SingleStageDetector
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import Tensor

from .detectors import picture
from .one_stage import HEADS, build, detector_cfg

# light: norms of several levels on one convolution, and what prepare_data.py takes; PAA: the most
# that follows a network
QUICK = ('light', 'paa')
WITHOUT_NCNN = {
    'tood': 'its network asks for the places of its maps',
    'yolof': 'its network takes maps of classes apart',
    'vfnet': 'pnnx leaves deformable convolutions as they are',
    'reppoints': 'pnnx leaves deformable convolutions as they are',
}


def pictures() -> Tensor:
    return torch.stack([torch.from_numpy(picture(160, 224, seed)) for seed in range(1, 5)])


def decisive(family: str) -> SingleStageDetector:
    model = build(family)
    make_decisive(model, pictures())
    return model


def check(source: Exportable, name: str, folder: Path) -> None:
    WRITERS[name](source, folder)
    # the first size in the network for one shape, the second in the one for all others
    session = FORMATS[name].open(folder, threads=1, shape=(1, 3, 160, 224))
    for size in ((160, 224), (131, 250)):
        images = picture(*size, seed=1)[None]
        expected = source.predict(images)
        difference = compare('detector', expected, session(images))
        assert difference.compared >= 5
        assert difference.agrees and difference.boxes < 0.1


def family_params() -> list:
    return [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in HEADS]


@pytest.mark.parametrize('family', family_params())
def test_engines_give_the_detections_of_mmdetection(family, tmp_path):
    source = exportable(decisive(family), None, None)
    for name in FORMATS:
        if name == 'ncnn' and family in WITHOUT_NCNN:
            continue
        folder = tmp_path / name
        folder.mkdir()
        check(source, name, folder)


OWN = {
    'ResNet': (dict(type='ResNet', depth=18, base_channels=8, out_indices=(1, 2, 3)),
               [16, 32, 64]),
    'CSPNeXt': (dict(type='CSPNeXt', deepen_factor=0.167, widen_factor=0.125,
                     out_indices=(2, 3, 4)), [32, 64, 128]),
    'MobileNetV2': (dict(type='MobileNetV2', widen_factor=0.25, out_indices=(2, 4, 7)),
                    [8, 24, 1280]),
}  # fmt: skip


@pytest.mark.parametrize('kind', OWN)
def test_backbones_of_mmdetection_export_as_ours(kind, tmp_path):
    backbone, channels = OWN[kind]
    cfg = ConfigDict(detector_cfg('fcos'))
    cfg.backbone, cfg.neck.in_channels = ConfigDict(backbone), channels
    model = MODELS.build(cfg).eval()
    make_decisive(model, pictures())
    check(exportable(model, None, None), 'onnx', tmp_path)


@pytest.mark.parametrize('family', ['vfnet', 'reppoints', 'tood'])
@torch.no_grad()
def test_deformable_convolutions_are_sampled_as_they_are(family):
    model = decisive(family)
    levels = model.extract_feat(torch.randn(1, 3, 96, 160))
    expected = model.bbox_head(levels)
    sampled = copy.deepcopy(model)
    use_sampling(sampled)
    for a, b in zip(expected, sampled.bbox_head(levels), strict=True):
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(y, x, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_a_convolution_with_several_norms_keeps_each():
    """RTMDet: one convolution for all levels, with the statistics of each."""
    model = decisive('rtmdet')
    levels = model.extract_feat(torch.randn(1, 3, 96, 160))
    deployed = switch_to_deploy(copy.deepcopy(model))
    for a, b in zip(model.bbox_head(levels), deployed.bbox_head(levels), strict=True):
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(y, x, atol=1e-3, rtol=1e-3)


WITHOUT_TORCH = """
import json, sys
for name in ('torch', 'mmdet', 'mmcv', 'mmengine', 'shufflenet_det'):
    sys.modules[name] = None
from shufflenet_runtime import Detector
found = Detector(sys.argv[1], threads=1)(sys.argv[2])
print(json.dumps(dict(boxes=found.boxes.tolist(), labels=found.labels.tolist())))
"""


def test_runtime_needs_no_torch_and_divides_by_the_scale_without_padding(tmp_path):
    source = exportable(decisive('fcos'), None, None)
    folder = tmp_path / 'exported'
    folder.mkdir()
    WRITERS['ncnn'](source, folder)
    files = sorted(path.name for path in folder.iterdir())
    assert files == ['model.ncnn.bin', 'model.ncnn.json', 'model.ncnn.param']
    pad = dict(width=224, height=192, values=[114, 114, 114])
    rule = dict(rule='fit', long=224, short=224, pad=pad)
    write_description(folder, dict(
        name='fcos', kind='detector', labels=list('abcde'), outputs=list(source.outputs),
        input=dict(name='image', channels=source.description['channels']), resize=rule,
        thresholds=source.description['thresholds'],
        engines=dict(ncnn=dict(format='ncnn', model='model.ncnn.param', files=files)),
    ))  # fmt: skip
    image = picture(160, 224, seed=1).transpose(1, 2, 0)
    large = cv2.resize(image, (448, 320), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / 'a.png'), large)
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_TORCH, folder, tmp_path / 'a.png'],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    small = cv2.resize(large, (224, 160), interpolation=cv2.INTER_LINEAR)
    padded = np.full((192, 224, 3), 114, np.uint8)
    padded[:160] = small
    expected = source.predict(np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1)[None]))
    assert found['labels'] == expected['labels'].tolist()
    np.testing.assert_allclose(found['boxes'], expected['boxes'] * 2, atol=0.1)
