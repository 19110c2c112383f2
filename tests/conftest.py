"""What all tests share: one thread, quiet logs, and small data sets in COCO's layout."""
import json
import logging
from pathlib import Path

import shufflenet_det  # noqa: F401  registers everything

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

ROOT = Path(__file__).resolve().parent.parent
COCO_CLASSES = CocoDataset.METAINFO['classes']


@pytest.fixture(autouse=True, scope='session')
def _quiet_and_single_threaded() -> None:
    # the tests run beside each other, a process a core
    torch.set_num_threads(1)
    # initialisation logs a line for each parameter
    MMLogger.get_instance('tests', log_level=logging.ERROR)


@pytest.fixture(autouse=True)
def _as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # a Runner or mmpretrain in another test leaves its own scope behind
    init_default_scope('mmdet')
    # what the reader of the README has exported must not reach the tests
    for name in (
        'COCO_DATA_ROOT', 'SAMPLE_DATA_ROOT', 'SHUFFLENET_PRETRAINED', 'TINY_IMAGENET_ROOT',
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    # for the processes that a test starts
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    torch.manual_seed(0)
    np.random.seed(0)


def write_coco(
    root: Path,
    classes: tuple[str, ...] = COCO_CLASSES,
    images: int = 4,
    size: tuple[int, int] = (120, 160),
) -> Path:
    """A data set in COCO 2017's layout: noise with two bright boxes of two classes an image.

    Category ids have gaps, and the categories are listed backwards, as no code may mind.
    """
    rng = np.random.default_rng(0)
    ids = {name: 3 * i + 1 for i, name in enumerate(classes)}
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
        tables = dict(
            images=[],
            annotations=[],
            categories=[dict(id=i, name=n) for n, i in reversed(ids.items())],
        )
        for index in range(images):
            picture = rng.integers(0, 90, (*size, 3), dtype=np.uint8)
            name = f'{index + 1:012d}.jpg'
            tables['images'].append(
                dict(id=index + 1, file_name=name, height=size[0], width=size[1])
            )
            for number in range(2):
                x, y, w, h = 8 + 70 * number, 20 + 5 * index, 50 + 4 * index, 60
                picture[y : y + h, x : x + w] = 120 + 60 * number
                tables['annotations'].append(
                    dict(
                        id=2 * index + number + 1,
                        image_id=index + 1,
                        category_id=ids[classes[(index + number) % len(classes)]],
                        bbox=[x, y, w, h],
                        area=w * h,
                        iscrowd=0,
                        segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                    )
                )
            cv2.imwrite(str(root / split / name), picture)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(tables))
    return root


@pytest.fixture
def coco_root(tmp_path: Path) -> Path:
    return write_coco(tmp_path / 'coco')
