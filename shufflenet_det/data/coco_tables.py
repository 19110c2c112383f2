"""COCO's JSON as tools write it, read as it is meant.

COCO's own files have ids that are numbers above 0, ``area`` and ``iscrowd``. Other tools write ids
as text in one table and as numbers in another, count annotations from 0 or not at all, leave fields
out and write flags as text. The COCO API takes all that in silence: an annotation with id 0, for
one, never counts as found.
"""
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..common.errors import DataError
from ..common.faults import Faults, repeated

NO_BOX = 'annotation without a bbox of four numbers, [x, y, width, height]. Correct it'
_FIELDS = {
    'images': ('id', 'file_name'),
    'annotations': ('image_id', 'category_id'),
    'categories': ('id', 'name'),
}
_SIMPLE = (int, float, str)
_FLAGS = {
    **dict.fromkeys(('0', '0.0', 'false', 'no', ''), False),
    **dict.fromkeys(('1', '1.0', 'true', 'yes'), True),
}


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a COCO annotation file.

    Of the annotations, ids are numbers from 1 where the file has others, or some twice, or none;
    ``iscrowd`` is 0 or 1, and 1 of those marked ``ignore``, too; ``area`` is that of the box where
    there is none; ``bbox`` is that of the polygons where there is none, and None where there are no
    polygons either. Ids of images and categories are of one type wherever they stand. ``width`` and
    ``height`` are whole numbers where the file has them. The table of annotations may be missing,
    as in the files of COCO's test images; it is then empty.

    Raises:
        DataError: it is no JSON, has not the tables of a detection file, a record lacks a field, a
            flag is no flag, or a width or height no number.
    """
    tables = _load(path)
    missing = [name for name in ('images', 'categories') if name not in tables]
    if missing:
        raise DataError(f'{path} is not a COCO detection file: it has no {", ".join(missing)}.')
    faults = Faults()
    for name, fields in _FIELDS.items():
        tables[name] = _records(tables, name, path)
        for number, record in enumerate(tables[name], 1):
            for key in fields:
                if not isinstance(record.get(key), _SIMPLE):
                    which = f'number {number}, id {record.get("id", "missing")}'
                    faults.add(f"no '{key}' in a record of its {name}. Export it again", which)
    faults.check(path)
    for image in tables['images']:
        for side in ('width', 'height'):
            # some tools leave them out
            if image.get(side) is not None and image[side] != '':
                number = _numbers([image[side]])
                if number is None:
                    faults.add(f'{side} that is no number. Correct it',
                               f'{image["file_name"]} ({image[side]!r})')  # fmt: skip
                else:
                    image[side] = int(number[0])
    _unify_ids(tables['images'], tables['annotations'], 'image_id')
    _unify_ids(tables['categories'], tables['annotations'], 'category_id')
    for annotation in tables['annotations']:
        _complete(annotation, faults)
    faults.check(path)
    _number(tables['annotations'])
    return tables


def _records(tables: dict[str, Any], name: str, path: Path) -> list[dict]:
    records = tables.get(name) or []
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise DataError(f'{path} is not a COCO detection file: its {name} are no list of records.')
    return records


def _load(path: Path) -> dict[str, Any]:
    try:
        # of bytes the reader knows UTF-8, -16 and -32, with a byte order mark or without
        tables = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise DataError(
            f'annotation file {path} is not UTF-8 text (byte {error.start + 1} is '
            f'{error.object[error.start]:#x}). Save it as UTF-8.'
        ) from None
    # a file of nested brackets, which no tool writes
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(
            f'annotation file {path} is damaged or truncated ({error}). Download or export it '
            f'again.'
        ) from None
    if not isinstance(tables, dict):
        raise DataError(
            f'{path} is not a COCO annotation file: it holds a {type(tables).__name__}.'
        )
    return tables


def _unify_ids(records: Sequence[dict], annotations: Sequence[dict], reference: str) -> None:
    """Make ``'7'`` and ``7`` one id, where a file has ids as text and as numbers."""
    places = [(r, 'id') for r in records] + [(a, reference) for a in annotations]
    if len({isinstance(record[key], str) for record, key in places}) < 2:
        return
    numbers = all(_as_number(record['id']) is not None for record in records)
    for record, key in places:
        value = record[key]
        record[key] = str(value) if not numbers else _as_number(value, value)


def _as_number(value: object, default: object = None) -> object:
    try:
        # an id may have more digits than a float
        return int(value) if isinstance(value, str) or float(value).is_integer() else default
    except ValueError:
        return default


def _complete(annotation: dict, faults: Faults) -> None:
    crowd = False
    for key in ('iscrowd', 'ignore'):
        value = annotation.pop(key, 0)
        flag = value if value in (0, 1) else _FLAGS.get(str(value or '').strip().lower())
        if flag is None:
            which = f'annotation {annotation.get("id", "without id")} ({value!r})'
            faults.add(f'{key} that is neither 0 nor 1. Correct it', which)
        crowd = crowd or flag
    annotation['iscrowd'] = 1 if crowd else 0
    bbox = _numbers(annotation.get('bbox')) or _around(annotation.get('segmentation'))
    annotation['bbox'] = bbox if bbox and len(bbox) == 4 else None
    if annotation['bbox']:
        area = _numbers([annotation.get('area')])
        annotation['area'] = area[0] if area and area[0] > 0 else bbox[2] * bbox[3]


def _numbers(values: object) -> list[float] | None:
    """A list of finite numbers, some of which may be text, or None."""
    if not isinstance(values, list) or not values:
        return None
    try:
        if str in map(type, values):
            values = list(map(float, values))
        return values if all(map(math.isfinite, values)) else None
    # overflow: of a whole number that no float holds
    except (TypeError, ValueError, OverflowError):
        return None


def _around(segmentation: object) -> list[float] | None:
    """The box of polygons, x, y, width and height, or None."""
    if not isinstance(segmentation, list):
        return None
    polygons = [_numbers(polygon) for polygon in segmentation]
    if not polygons or None in polygons or any(len(p) < 6 or len(p) % 2 for p in polygons):
        return None
    xs = [x for polygon in polygons for x in polygon[::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _number(annotations: Sequence[dict]) -> None:
    ids = [annotation.get('id') for annotation in annotations]
    # to the COCO API 0 is no annotation
    good = all(type(i) in (int, float) and i > 0 for i in ids) and not repeated(ids)
    for number, annotation in enumerate(() if good else annotations, 1):
        annotation['id'] = number
