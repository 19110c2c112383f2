"""The runtime on ARM, emulated: what it finds there."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from shufflenet_det.export.exporting import export

import cv2
import numpy as np
import pytest
import torch

from ..conftest import ROOT
from .detectors import detector_config, picture, random_detector

pytestmark = pytest.mark.slow
ARGUMENTS = ['-m', 'shufflenet_runtime', 'exported', 'picture.png', '--threads', '1']


def why_not() -> str | None:
    """What is missing for the emulation, if anything is."""
    qemu = shutil.which(os.environ.get('QEMU', 'qemu-aarch64'))
    if not qemu:
        return 'qemu-aarch64 is missing (Debian 13: apt-get install qemu-user)'
    said = subprocess.run([qemu, '--version'], capture_output=True, text=True, check=True).stdout
    if int(re.search(r'version (\d+)', said)[1]) < 10:
        return f'{qemu} is older than version 10'
    if not shutil.which('debootstrap') and not (ROOT / '.cache/arm64').is_dir():
        return 'debootstrap is missing (apt-get install debootstrap)'
    return None


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported light detector and a picture that has to be resized."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp('arm')
    cfg = detector_config('light')
    (resize,) = (t for t in cfg.test_dataloader.dataset.pipeline if t['type'] == 'Resize')
    resize['scale'] = (256, 160)
    checkpoint, image = folder / 'light.pth', folder / 'picture.png'
    torch.save(dict(state_dict=random_detector(cfg).state_dict(), meta={}), checkpoint)
    cv2.imwrite(str(image), picture(347, 471).transpose(1, 2, 0))
    export(cfg, 'light.py', str(checkpoint), folder / 'exported', ['onnx', 'ncnn'], [image])
    return folder


@pytest.mark.parametrize('engine', ['onnxruntime', 'ncnn'])
def test_arm_finds_what_this_processor_finds(folder, engine):
    found = []
    for command in ([sys.executable], [str(ROOT / '.ci/arm64')]):
        out = folder / f'{len(found)}.json'
        subprocess.run(
            [*command, *ARGUMENTS, '--engine', engine, '--score-threshold', '0.06', '--json', out],
            cwd=folder, env={**os.environ, 'PYTHONPATH': str(ROOT)}, check=True,
        )  # fmt: skip
        found.append(json.loads(out.read_text())[0]['detections'])
    here, there = found
    assert len(here) > 10
    assert [box['label'] for box in here] == [box['label'] for box in there]
    for key, tolerance in (('score', 1e-3), ('box', 0.5)):
        np.testing.assert_allclose(
            [box[key] for box in there], [box[key] for box in here], rtol=0, atol=tolerance
        )
