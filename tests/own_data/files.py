"""Small data sets as people have them, for the tests of their preparation."""
import json
from collections.abc import Sequence
from pathlib import Path

from shufflenet_det.common.config import CONFIGS

import cv2
import numpy as np

# keeps the proportions of images, which the default does not
C4 = str(CONFIGS / 'faster_rcnn' / 'faster-rcnn_shufflenet-v1-0.5x-g3_c4_2x_coco-300.py')
SIZE = (48, 40)  # width and height of every image
BOXES = {
    f'{number}.jpg': [('mug', [2, 3, 20, 15])] if number % 2 else [('tea pot', [1, 1, 8, 9])]
    for number in range(10)
}


def write_images(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
        assert cv2.imwrite(str(path), noise)
    return folder


def coco_tables(
    boxes: dict[str, Sequence[tuple]], classes: Sequence[str] = ('mug', 'tea pot')
) -> dict:
    """Tables of images by name, with boxes ``(class, [x, y, w, h])``."""
    ids = {name: 10 * number for number, name in enumerate(classes, 1)}
    tables = dict(
        images=[
            dict(id=number, file_name=name, width=SIZE[0], height=SIZE[1])
            for number, name in enumerate(boxes, 1)
        ],
        annotations=[],
        categories=[dict(id=number, name=name) for name, number in ids.items()],
    )
    for image_id, objects in enumerate(boxes.values(), 1):
        for name, bbox in objects:
            tables['annotations'].append(
                dict(
                    id=len(tables['annotations']) + 1,
                    image_id=image_id,
                    category_id=ids[name],
                    bbox=bbox,
                )
            )
    return tables


def write_json(path: Path, tables: dict) -> Path:
    path.write_text(json.dumps(tables))
    return path


def labels(photos: Path, boxes: dict = BOXES, name: str = 'labels.json', **options) -> Path:
    """A COCO file beside the folder of the images."""
    return write_json(photos.parent / name, coco_tables(boxes, **options))


def voc_object(name: str, corners: Sequence[float], difficult: int = 0) -> str:
    tags = ''.join(
        f'<{tag}>{value}</{tag}>'
        for tag, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True)
    )
    return (
        f'<object><name>{name}</name><difficult>{difficult}</difficult>'
        f'<bndbox>{tags}</bndbox></object>'
    )


def write_voc(folder: Path, name: str, *objects: str, filename: str | None = None) -> Path:
    """An XML file for the image ``name``."""
    path = (folder / name).with_suffix('.xml')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<annotation>\n<filename>{name if filename is None else filename}</filename>\n'
        f'<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>\n'
        + '\n'.join(objects)
        + '\n</annotation>\n'
    )
    return path
