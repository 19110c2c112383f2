"""Reads annotations in COCO's JSON layout."""
from collections import defaultdict
from pathlib import Path

from ..common.faults import Faults, repeated
from ..data.coco_tables import NO_BOX, read_tables
from .records import Box, Picture


def read_coco(path: Path) -> tuple[tuple[str, ...], list[Picture]]:
    """Categories, in the order of their ids, and images of a COCO annotation file.

    Raises:
        DataError: the file is missing, damaged or no COCO file, or its tables contradict each
            other: the message names all the records.
    """
    tables = read_tables(path)
    faults = Faults()
    names = _categories(tables['categories'], faults)
    images = {image['id']: image for image in tables['images']}
    for twice in repeated([image['id'] for image in tables['images']]):
        faults.add('two images of one id. Number the images anew', f'id {twice}')
    boxes = defaultdict(list)
    for annotation in tables['annotations']:
        if (box := _box(annotation, names, images, faults)) is not None:
            boxes[annotation['image_id']].append(box)
    pictures = [
        Picture((str(image['file_name']),), _size(image), tuple(boxes[key]), f'image {key}')
        for key, image in images.items()
    ]
    faults.check(path)
    return tuple(names[key] for key in sorted(names)), pictures


def _categories(records: list[dict], faults: Faults) -> dict[int, str]:
    for twice in repeated([record['id'] for record in records]):
        faults.add('two categories of one id. Number the categories anew', f'id {twice}')
    for twice in repeated([str(record['name']) for record in records]):
        faults.add('two categories of one name. Merge them', twice)
    return {record['id']: str(record['name']) for record in records}


def _size(image: dict) -> tuple[int, int] | None:
    # some tools leave the size out, or leave it 0
    if image.get('width') and image.get('height'):
        return int(image['width']), int(image['height'])
    return None


def _box(annotation: dict, names: dict, images: dict, faults: Faults) -> Box | None:
    where = f'annotation {annotation["id"]}'
    image, category = annotation['image_id'], annotation['category_id']
    if image not in images:
        faults.add(
            'annotation of an image that is not in the file. Add the image or take it out',
            f'{where} (image {image})',
        )
        return None
    where += f' ({images[image]["file_name"]})'
    if category not in names:
        faults.add(
            'annotation of a category that is not in the file. Add the category or take it out',
            f'{where[:-1]}, category {category})',
        )
        return None
    bbox = annotation['bbox']
    if bbox is None:
        faults.add(NO_BOX, where)
        return None
    return Box(
        names[category], tuple(map(float, bbox)), where, bool(annotation['iscrowd']),
        float(annotation['area']),
    )  # fmt: skip
