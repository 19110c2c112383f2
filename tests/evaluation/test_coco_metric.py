import json
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.evaluation import FIGURES, CheckedCocoMetric

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..conftest import COCO_CLASSES, write_coco

CLASSES = COCO_CLASSES[:5]


def data_samples(root: Path, noise: float) -> list[dict]:
    """Ground truth of the validation set as predictions, moved and mislabelled by ``noise``."""
    truth = json.loads((root / 'annotations' / 'instances_val2017.json').read_text())
    names = {c['id']: c['name'] for c in truth['categories']}
    rng = np.random.default_rng(0)
    samples = []
    for image in truth['images']:
        boxes, labels = [], []
        for ann in truth['annotations']:
            if ann['image_id'] == image['id']:
                x, y, w, h = ann['bbox']
                boxes.append(np.array([x, y, x + w, y + h]) + rng.normal(0, noise, 4))
                label = CLASSES.index(names[ann['category_id']])
                labels.append((label + (rng.random() < noise / 30)) % len(CLASSES))
        samples.append(
            dict(
                img_id=image['id'],
                ori_shape=(image['height'], image['width']),
                pred_instances=dict(
                    bboxes=torch.tensor(np.array(boxes), dtype=torch.float32).view(-1, 4),
                    scores=torch.tensor(rng.random(len(boxes)), dtype=torch.float32),
                    labels=torch.tensor(labels, dtype=torch.long),
                ),
            )
        )
    return samples


def evaluate(root: Path, samples: list[dict], **kwargs) -> tuple[dict, CheckedCocoMetric]:
    metric = CheckedCocoMetric(str(root / 'annotations/instances_val2017.json'), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    return metric.evaluate(len(samples)), metric


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_coco(tmp_path / 'coco', CLASSES, images=12)


@pytest.mark.parametrize('noise', [0.0, 4.0, 12.0])
def test_all_twelve_figures_are_those_of_pycocotools_from_the_result_file(root, tmp_path, noise):
    prefix = tmp_path / 'kept' / 'val'
    figures, _ = evaluate(root, data_samples(root, noise), outfile_prefix=str(prefix))
    truth = COCO(str(root / 'annotations/instances_val2017.json'))
    evaluation = COCOeval(truth, truth.loadRes(f'{prefix}.bbox.json'), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert [figures[f'coco/bbox_{name}'] for name in FIGURES] == evaluation.stats.tolist()
    if noise == 0:
        assert figures['coco/bbox_mAP'] == pytest.approx(1)
    else:
        assert 0 < figures['coco/bbox_mAP'] < 1


def test_mean_of_the_classes_is_the_mean_average_precision(root):
    figures, metric = evaluate(root, data_samples(root, 5.0))
    classes = metric.per_class['bbox']
    assert tuple(classes) == CLASSES
    for figure in FIGURES[:3]:
        mean = np.mean([values[figure] for values in classes.values()])
        assert mean == pytest.approx(figures[f'coco/bbox_{figure}'])
    assert all(values['mAP_s'] == -1 for values in classes.values()), 'there are no small objects'


def test_a_wrong_class_order_would_be_seen(root):
    """The file lists its categories backwards; with MMDetection's numbering this would be zero."""
    figures, _ = evaluate(root, data_samples(root, 0.0))
    assert figures['coco/bbox_mAP_50'] == pytest.approx(1)


def test_no_detection_at_all_is_zero_not_an_error(root):
    samples = data_samples(root, 0.0)
    for sample in samples:
        sample['pred_instances'] = dict(
            bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long)
        )
    figures, metric = evaluate(root, samples)
    assert figures['coco/bbox_mAP'] == 0
    assert figures['coco/bbox_mAP_s'] == -1


def test_format_only_writes_and_computes_nothing(root, tmp_path):
    figures, _ = evaluate(
        root, data_samples(root, 0.0), format_only=True, outfile_prefix=str(tmp_path / 'sub')
    )
    assert not figures
    assert len(json.loads((tmp_path / 'sub.bbox.json').read_text())) == 24


def test_figures_by_class_belong_to_the_class_whatever_its_id(root):
    """COCOeval sorts the ids; here they fall where the classes rise."""
    path = root / 'annotations/instances_val2017.json'
    tables = json.loads(path.read_text())
    for table, key in ((tables['categories'], 'id'), (tables['annotations'], 'category_id')):
        for row in table:
            row[key] = 100 - row[key]
    path.write_text(json.dumps(tables))
    samples = data_samples(root, 0.0)
    for sample in samples:
        pred = sample['pred_instances']
        keep = pred['labels'] == 1
        sample['pred_instances'] = {k: v[keep] for k, v in pred.items()}
    _, metric = evaluate(root, samples)
    found = {name: figures['mAP'] for name, figures in metric.per_class['bbox'].items()}
    assert found.pop(CLASSES[1]) == pytest.approx(1)
    assert not any(found.values())


def test_other_metrics_are_refused(root):
    with pytest.raises(ConfigError, match='proposal'):
        evaluate(root, [], metric='proposal')


def test_masks_are_evaluated_by_their_own_size(root):
    samples = data_samples(root, 0.0)
    for sample in samples:
        pred = sample['pred_instances']
        masks = torch.zeros(len(pred['labels']), *sample['ori_shape'], dtype=torch.bool)
        for mask, box in zip(masks, pred['bboxes'].round().int().tolist(), strict=True):
            mask[box[1] : box[3], box[0] : box[2]] = True
        pred['masks'] = masks
    figures, metric = evaluate(root, samples, metric=['bbox', 'segm'])
    assert figures['coco/segm_mAP_50'] == pytest.approx(1)
    assert set(metric.per_class) == {'bbox', 'segm'}
