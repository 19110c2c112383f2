"""COCO's own files through the paper's detector: trained, tested, exported."""
import json
from pathlib import Path

from shufflenet_det.evaluation import FIGURES

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..real_data import real
from .test_tools import CONFIG, SMALL, command, run, succeeded

IMAGES = 16
# some images of each part, and all that the detector finds in them
OPTIONS = [
    *SMALL,
    f'test_dataloader.dataset.indices={IMAGES}',
    'model.test_cfg.rcnn.score_thr=0.0',
]


def figures_of(work_dir: Path) -> list[float]:
    metrics = json.loads((work_dir / 'metrics.json').read_text())['metrics']
    return [metrics[f'coco/bbox_{name}'] for name in FIGURES]


def figures_of_pycocotools(annotations: Path, results: Path, classes: bool = True) -> list[float]:
    truth = COCO(str(annotations))
    evaluation = COCOeval(truth, truth.loadRes(str(results)), 'bbox')
    evaluation.params.useCats = int(classes)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.slow
def test_cocos_own_files_from_training_to_the_exported_detector(tmp_path):
    root = real('data/coco_mini')
    train = [*SMALL, f'train_dataloader.dataset.indices={IMAGES}', 'train_cfg.max_epochs=1',
             'train_cfg.val_begin=9', 'auto_scale_lr.base_batch_size=2']  # fmt: skip
    output = succeeded(
        run(command('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *train), root)
    )
    assert 'Epoch(train)' in output
    checkpoint = tmp_path / 'epoch_1.pth'
    results = tmp_path / 'results.json'
    succeeded(
        run(command('test.py', CONFIG, checkpoint, '--work-dir', tmp_path / 'torch', '--out',
                    results, '--cfg-options', *OPTIONS), root)
    )  # fmt: skip
    annotations = root / 'annotations' / 'instances_val2017.json'
    found = figures_of(tmp_path / 'torch')
    assert len(found) == 12 and found == figures_of_pycocotools(annotations, results)
    exported = tmp_path / 'exported'
    succeeded(
        run(command('export.py', CONFIG, checkpoint, '--out', exported, '--format', 'onnx',
                    '--images', *sorted((root / 'val2017').iterdir())[:3], '--cfg-options', *SMALL,
                    'model.test_cfg.rcnn.score_thr=0.0'), root)
    )  # fmt: skip
    results_exported = tmp_path / 'exported.json'
    succeeded(
        run(command('test.py', CONFIG, exported, '--work-dir', tmp_path / 'onnx', '--out',
                    results_exported, '--cfg-options', *OPTIONS), root)
    )  # fmt: skip
    assert figures_of(tmp_path / 'onnx') == pytest.approx(found, abs=1e-3)
    # after two steps no class may be right, but some boxes are where objects are
    boxes = figures_of_pycocotools(annotations, results, classes=False)
    assert max(boxes) > 0
    assert figures_of_pycocotools(annotations, results_exported, classes=False) == pytest.approx(
        boxes, abs=1e-3
    )
