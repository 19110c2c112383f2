"""Work folders as tools/train.py and tools/test.py leave them, without training anything."""
import json
from pathlib import Path

from shufflenet_det.evaluation import CheckedCocoMetric, TopKError

import cv2
import numpy as np
import torch

from ..conftest import write_coco

CLASSES = ('ant', 'bee', 'cat', 'dog', 'eel')


def write_log(folder: Path, steps: int = 60, goal: int = 60, validation: bool = True) -> None:
    """A log as MMEngine writes it, ``steps`` of ``goal`` iterations after the start."""
    vis_data = folder / '20260102_030405' / 'vis_data'
    vis_data.mkdir(parents=True)
    lines = []
    for step in range(10, steps + 1, 10):
        lines.append(dict(lr=0.01 / step, loss=3 / step, loss_cls=1 / step, time=0.2, iter=step,
                          step=step))  # fmt: skip
        if validation and step % 20 == 0:
            lines.append({'coco/bbox_mAP': 0.005 * step, 'time': 0.1, 'step': step})
    (vis_data / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)) + '\n')
    (vis_data / 'config.py').write_text(f'train_cfg = dict(max_iters={goal})\n')
    (folder / 'last_checkpoint').write_text(f'{folder}/iter_{steps}.pth')


def write_detector(
    folder: Path, data: Path, noise: float = 6.0, seed: int = 0, most: int | None = None,
    **log: object,
) -> dict:  # fmt: skip
    """The work folder of a detector whose detections are the truth, moved, mislabelled and more.

    Args:
        folder: to be written.
        data: data set of :func:`write_coco` with ``CLASSES``.
        noise: standard deviation of the boxes' corners in pixels.
        most: images to test; None for all.

    Returns:
        The content of its ``metrics.json``.
    """
    path = data / 'annotations' / 'instances_val2017.json'
    truth = json.loads(path.read_text())
    names = {category['id']: category['name'] for category in truth['categories']}
    rng = np.random.default_rng(seed)
    metric = CheckedCocoMetric(str(path), backend='pycocotools')
    metric.dataset_meta = dict(classes=CLASSES)
    images = truth['images'][:most]
    for image in images:
        boxes, labels, scores = [], [], []
        for ann in truth['annotations']:
            if ann['image_id'] != image['id']:
                continue
            x, y, w, h = ann['bbox']
            label = CLASSES.index(names[ann['category_id']])
            for copy in range(1 + (rng.random() < 0.3)):
                boxes.append(np.array([x, y, x + w, y + h]) + rng.normal(0, noise, 4))
                labels.append((label + (rng.random() < 0.2)) % len(CLASSES))
                scores.append(rng.uniform(0.3, 1) - 0.2 * copy)
            boxes.append([1, 1, 20, 15])
            labels.append(label)
            scores.append(rng.uniform(0, 0.5))
        keep = rng.random(len(boxes)) > 0.15
        pred = dict(
            bboxes=torch.tensor(np.array(boxes)[keep], dtype=torch.float32).view(-1, 4),
            scores=torch.tensor(np.array(scores)[keep], dtype=torch.float32),
            labels=torch.tensor(np.array(labels)[keep], dtype=torch.long),
        )
        shape = (image['height'], image['width'])
        metric.process({}, [dict(img_id=image['id'], ori_shape=shape, pred_instances=pred)])
    folder.mkdir(parents=True)
    metric.keep_results(folder / 'results.json')
    figures = metric.evaluate(len(images))
    content = dict(
        config='configs/mine.py', checkpoint='iter_60.pth', resolution=[500, 300],
        annotations=str(path), images_folder=str(data / 'val2017'),
        results=str(folder / 'results.json'), classes=len(CLASSES), images=len(images),
        metrics=figures, per_class=metric.per_class, versions=dict(torch='2'), command='test.py x',
    )  # fmt: skip
    if metric.part:
        content['image_ids'] = metric.part
    (folder / 'metrics.json').write_text(json.dumps(content))
    write_log(folder, **log)
    return content


def write_classifier(folder: Path, seed: int = 0, images: int = 40) -> dict:
    """The work folder of a classifier that is right two times out of three."""
    rng = np.random.default_rng(seed)
    (folder / 'photos').mkdir(parents=True)
    metric = TopKError()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.keep_results(folder / 'results.json')
    for index in range(images):
        path = folder / 'photos' / f'{index}.png'
        cv2.imwrite(str(path), rng.integers(0, 255, (40, 50, 3), dtype=np.uint8))
        label = index % len(CLASSES)
        logits = torch.tensor(rng.normal(0, 1, len(CLASSES)), dtype=torch.float32)
        logits[label] += 1.5
        sample = dict(path=str(path), label=torch.tensor(label), logits=logits)
        metric.process({}, [sample])
    figures = metric.evaluate(images)
    content = dict(
        config='configs/classifier.py', checkpoint='epoch_1.pth', annotations=None,
        results=str(folder / 'results.json'), classes=len(CLASSES), images=images,
        images_folder=str(folder / 'photos'), metrics=figures, per_class=metric.per_class,
    )  # fmt: skip
    (folder / 'metrics.json').write_text(json.dumps(content))
    return content


def write_data(root: Path, images: int = 30) -> Path:
    """Data for :func:`write_detector`."""
    return write_coco(root, CLASSES, images=images, size=(240, 320))
