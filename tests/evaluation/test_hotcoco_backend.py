"""hotcoco's figures are those of pycocotools, wherever the two could differ."""
import json
import logging
import sys
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.evaluation import FIGURES, CheckedCocoMetric, hotcoco_backend

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

CLASSES = ('ant', 'bee', 'cat', 'dog', 'eel')


def scene(rng: np.random.Generator, objects: int) -> np.ndarray:
    """(objects, 4) corners within 640x480, from a few pixels to most of the image."""
    sizes = np.exp(rng.normal(4, 1, (objects, 2))).clip(4, 400)
    corner = rng.uniform(0, np.array([640, 480]) - sizes)
    return np.concatenate([corner, corner + sizes], axis=1)


def annotations(seed: int, objects: int) -> dict:
    """Truth with crowds, areas that are not those of the boxes, gaps and no order in the ids,
    empty images and a class without objects."""
    rng = np.random.default_rng(seed)
    images = [dict(id=7 * i + 3, file_name=f'{i}.jpg', width=640, height=480) for i in range(8)]
    annotations = []
    for image in images[:-2]:
        for x1, y1, x2, y2 in scene(rng, objects):
            # the last class never occurs
            name = int(rng.integers(len(CLASSES) - 1))
            annotations.append(
                dict(
                    id=9000 - len(annotations),
                    image_id=image['id'],
                    category_id=10 - 2 * name,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1) * rng.uniform(0.3, 1),
                    iscrowd=int(rng.random() < 0.15),
                    ignore=int(rng.random() < 0.1),
                    segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]],
                )
            )
    categories = [dict(id=10 - 2 * i, name=name) for i, name in enumerate(CLASSES)]
    return dict(images=images, annotations=annotations, categories=categories)


def detections(truth: dict, seed: int, copies: int, strangers: int, masks: bool) -> list[dict]:
    """Moved copies of the truth and boxes from nowhere, with scores of one decimal: many ties."""
    rng = np.random.default_rng(seed)
    samples = []
    for image in truth['images']:
        own = [a for a in truth['annotations'] if a['image_id'] == image['id']]
        corners = np.array([a['bbox'] for a in own]).reshape(-1, 4)
        corners = np.tile(np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], 1),
                          (copies, 1))  # fmt: skip
        corners = corners + rng.normal(0, 6, corners.shape)
        labels = [(10 - a['category_id']) // 2 for a in own] * copies
        boxes = np.concatenate([corners, scene(rng, strangers)])
        labels = np.array([*labels, *rng.integers(len(CLASSES), size=strangers)], dtype=int)
        pred = dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
            scores=torch.tensor(rng.random(len(boxes)).round(1), dtype=torch.float32),
            labels=torch.tensor(labels),
        )
        if masks:
            pred['masks'] = torch.zeros(len(boxes), 480, 640, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(
                pred['masks'], boxes.clip(0).round().astype(int).tolist(), strict=True
            ):
                # narrower than its box, so that its size is another
                mask[y1:y2, x1 : x1 + (x2 - x1) * 4 // 5] = True
        samples.append(dict(img_id=image['id'], ori_shape=(480, 640), pred_instances=pred))
    return samples


def evaluate(path: Path, samples: list[dict], backend: str, **kwargs) -> CheckedCocoMetric:
    metric = CheckedCocoMetric(str(path), backend=backend, **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    metric.figures = metric.evaluate(len(samples))
    return metric


# objects an image, detections of each object, detections of nothing; more than 100 of a class in
# an image are more than the COCO API looks at
CASES = {
    'few': (6, 1, 3),
    'duplicates': (8, 3, 10),
    'more than 100 detections': (15, 2, 700),
    'more than 100 objects': (520, 1, 20),
    'nothing found': (6, 0, 0),
    'nothing but errors': (6, 0, 30),
}


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('seed', range(2))
def test_every_figure_is_that_of_pycocotools(case, seed, tmp_path):
    pytest.importorskip('hotcoco', reason='hotcoco, the extra `fast`, is not installed')
    objects, copies, strangers = CASES[case]
    path = tmp_path / 'truth.json'
    truth = annotations(seed, objects)
    path.write_text(json.dumps(truth))
    samples = detections(truth, seed, copies, strangers, masks=False)
    fast, reference = (evaluate(path, samples, name) for name in ('hotcoco', 'pycocotools'))
    assert (fast.backend, reference.backend) == ('hotcoco', 'pycocotools')
    # to the last bit: no tolerance
    assert fast.figures == reference.figures
    assert list(fast.figures) == [f'coco/bbox_{figure}' for figure in FIGURES]
    assert fast.per_class == reference.per_class
    assert fast.per_class['bbox']['eel']['mAP'] == -1, 'there is none to be found'
    if case not in ('nothing found', 'nothing but errors'):
        assert 0.01 < fast.figures['coco/bbox_mAP'] < 0.99, 'the case says nothing'


def test_masks_too_and_sizes_by_the_mask(tmp_path):
    pytest.importorskip('hotcoco', reason='hotcoco, the extra `fast`, is not installed')
    path = tmp_path / 'truth.json'
    truth = annotations(0, 6)
    path.write_text(json.dumps(truth))
    samples = detections(truth, 0, 1, 2, masks=True)
    fast, reference = (
        evaluate(path, samples, name, metric=['bbox', 'segm'])
        for name in ('hotcoco', 'pycocotools')
    )
    assert fast.figures == reference.figures
    assert fast.per_class == reference.per_class
    assert 0.01 < fast.figures['coco/segm_mAP'] < 0.99


@pytest.mark.parametrize('backend', ['pycocotools', 'hotcoco'])
def test_log_says_which_ran(backend, tmp_path, caplog):
    if backend == 'hotcoco':
        pytest.importorskip('hotcoco', reason='hotcoco, the extra `fast`, is not installed')
    path = tmp_path / 'truth.json'
    truth = annotations(0, 2)
    path.write_text(json.dumps(truth))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        evaluate(path, detections(truth, 0, 1, 0, masks=False), backend)
    finally:
        logger.removeHandler(caplog.handler)
        logger.setLevel(level)
    assert f'bbox is evaluated by {backend} ' in caplog.text


def test_without_hotcoco_auto_is_pycocotools_and_its_name_an_error(monkeypatch):
    monkeypatch.setattr(hotcoco_backend, 'find_spec', lambda name: None)
    assert hotcoco_backend.choose_backend('auto') == 'pycocotools'
    assert hotcoco_backend.choose_backend('pycocotools') == 'pycocotools'
    with pytest.raises(ConfigError, match='pip install'):
        hotcoco_backend.choose_backend('hotcoco')


def test_pycocotools_is_chosen_by_its_name_and_others_are_refused():
    assert hotcoco_backend.choose_backend('pycocotools') == 'pycocotools'
    with pytest.raises(ConfigError, match='fastcoco'):
        hotcoco_backend.choose_backend('fastcoco')


def test_pycocotools_needs_no_hotcoco(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'hotcoco', None)
    path = tmp_path / 'truth.json'
    truth = annotations(0, 2)
    path.write_text(json.dumps(truth))
    metric = evaluate(path, detections(truth, 0, 1, 0, masks=False), 'pycocotools')
    assert metric.figures['coco/bbox_mAP'] > 0
