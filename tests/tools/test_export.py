"""tools/export.py, and tools/test.py on what it makes."""
import json
from pathlib import Path

import pytest
import torch

from ..conftest import write_coco
from ..export.detectors import detector_config, random_detector
from .test_tools import command, run, succeeded

CONFIG = 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-0.5x-g3_light_2x_coco-300.py'
DATA = ['test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, a checkpoint, and that as it was exported."""
    folder = tmp_path_factory.mktemp('files')
    write_coco(folder / 'coco')
    model = random_detector(detector_config('light'))
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'light.pth')
    output = succeeded(
        run(
            command('export.py', CONFIG, folder / 'light.pth', '--out', folder / 'exported',
                    '--format', 'onnx', 'ncnn', '--images', folder / 'coco' / 'val2017'),
            folder / 'coco',
        )
    )  # fmt: skip
    assert 'onnxruntime: largest differences from PyTorch' in output
    assert '000000000001.jpg 300x400' in output
    return folder


def test_an_exported_detector_is_evaluated_as_its_checkpoint(files, tmp_path):
    found = {}
    for name, tested in (
        ('ncnn', [files / 'exported', '--engine', 'ncnn']),
        ('torch', [files / 'light.pth']),
    ):
        out, work_dir = tmp_path / f'{name}.json', tmp_path / name
        succeeded(
            run(
                command('test.py', CONFIG, *tested, '--out', out, '--work-dir', work_dir,
                        '--cfg-options', *DATA),
                files / 'coco',
            )
        )  # fmt: skip
        found[name] = json.loads(out.read_text())
        assert json.loads((work_dir / 'metrics.json').read_text()).get('engine') == (
            None if name == 'torch' else name
        )
    assert len(found['ncnn']) == len(found['torch']) > 100
    scores = [sorted(d['score'] for d in detections) for detections in found.values()]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['export.py', CONFIG, 'none.pth', '--out', 'tests'], 'tests exists: choose another'),
        (['test.py', CONFIG, 'none.pth', '--engine', 'onnxruntime'], 'no folder of tools/export'),
    ],
)
def test_what_cannot_work_is_said_at_once(files, arguments, message):
    process = run(command(*arguments), files / 'coco')
    assert process.returncode != 0
    assert message in process.stderr
    assert 'Traceback' not in process.stderr
