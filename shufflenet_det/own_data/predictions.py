"""What a detector found, as a COCO data set: for labelling tools to open, correct and give back."""
import json
import math
from collections.abc import Sequence
from os.path import abspath
from pathlib import Path

from shufflenet_runtime.files import below

from ..common.cli import write_atomically
from ..common.errors import ConfigError, DataError, shorten
from ..common.faults import repeated
from ..data.coco_tables import read_tables


def predictions_to_coco(
    found: str | Path,
    out: str | Path,
    least_score: float = 0.3,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    classes: Sequence[str] = (),
) -> dict:
    """Write detections as annotations in COCO format.

    Args:
        found: what ``python -m shufflenet_runtime --json`` wrote; or, with ``annotations``, a COCO
            result file of ``tools/test.py --out``.
        out: file to write.
        least_score: detections below it are left out.
        annotations: COCO file that names the images and categories of a result file.
        images: folder that the file names are to be relative to; by default names alone, or, where
            several images have one name, paths below the deepest folder that holds all.
        classes: names in the order that they shall have; by default all that were found, sorted.
            A result file has those of its annotations.

    Returns:
        The content of the file. Each annotation has its ``score``.

    Raises:
        DataError: ``found`` is neither of the two, an image of it could not be read, a result
            is none, or it has images or categories that its annotations lack.
        ConfigError: a result file without its annotations, what does not go together, a class
            that is named twice or not at all, an image outside of ``images``, or ``out`` is one
            of the files read.
    """
    for source in filter(None, (found, annotations)):
        if Path(out).resolve() == Path(source).resolve():
            raise ConfigError(f'--out {out} would replace what is read: choose another file.')
    try:
        entries = json.loads(Path(found).read_bytes())
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f'{found} is no JSON file: {error}.') from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f'{found} is no list of detections.')
    if annotations is not None:
        if classes or images:
            raise ConfigError('--annotations: it has the classes and the names of images already; '
                              'leave out --classes and --images.')  # fmt: skip
        content = _of_results(entries, annotations, found)
    elif entries and 'image_id' in entries[0]:
        raise ConfigError(
            f'{found} is a COCO result file, which does not name its images: give the annotation '
            f'file of the test with --annotations.'
        )
    else:
        content = _of_runtime(entries, found, images, classes)
    kept = [a for a in content['annotations'] if a['score'] >= least_score]
    content['annotations'] = [{'id': number, **a} for number, a in enumerate(kept, 1)]
    write_atomically(out, json.dumps(content) + '\n')
    return content


def _annotation(image_id: int, category_id: int, box: Sequence[float], score: float) -> dict:
    x, y, width, height = box
    return dict(
        image_id=image_id, category_id=category_id, bbox=[x, y, width, height],
        area=width * height, iscrowd=0, segmentation=[], score=score,
    )  # fmt: skip


def _of_results(entries: list[dict], annotations: str | Path, found: str | Path) -> dict:
    truth = read_tables(Path(annotations))
    for number, entry in enumerate(entries, 1):
        if missing := {'image_id', 'category_id', 'bbox', 'score'} - entry.keys():
            raise DataError(f'{found} is no COCO result file of boxes: {sorted(missing)} missing.')
        if not _is_result(entry):
            raise DataError(
                f'{found}: detection number {number} has an id, a box or a score that is none. '
                f'Write the file again with tools/test.py --out.'
            )
    for key, table in (('image_id', 'images'), ('category_id', 'categories')):
        strangers = {entry[key] for entry in entries} - {record['id'] for record in truth[table]}
        if strangers:
            raise DataError(
                f'{annotations} has no {table} {sorted(strangers, key=str)[:5]}, which {found} has.'
            )
    return dict(
        images=truth['images'],
        categories=truth['categories'],
        annotations=[
            _annotation(e['image_id'], e['category_id'], e['bbox'], e['score']) for e in entries
        ],
    )


def _is_result(entry: dict) -> bool:
    """Whether ids, box and score of a detection are what they should be."""
    box, ids = entry['bbox'], (entry['image_id'], entry['category_id'])
    return (
        all(isinstance(value, (int, float, str)) for value in ids)
        and isinstance(box, list)
        and len(box) == 4
        and all(isinstance(n, (int, float)) and math.isfinite(n) for n in (*box, entry['score']))
    )


def _of_runtime(
    entries: list[dict], found: str | Path, folder: str | Path | None, classes: Sequence[str]
) -> dict:
    for entry in entries:
        if 'error' in entry:
            raise DataError(f'{found}: {entry["image"]} could not be read: {entry["error"]}')
        if not {'image', 'width', 'height', 'detections'} <= entry.keys() or 'frame' in entry:
            raise DataError(
                f'{found} is no list of detections in images, as `python -m shufflenet_runtime '
                f'--json` writes it of a detector and of image files.'
            )
    if repeated(classes):
        raise ConfigError(f'--classes names a class twice: {" ".join(classes)}.')
    names = {d['label'] for entry in entries for d in entry['detections']}
    if classes and names - set(classes):
        raise ConfigError(f'--classes lacks {", ".join(sorted(names - set(classes)))}.')
    ids = {name: number for number, name in enumerate(classes or sorted(names), 1)}
    content = dict(
        images=[], annotations=[], categories=[dict(id=i, name=n) for n, i in ids.items()]
    )
    file_names = _file_names([Path(entry['image']) for entry in entries], folder)
    for number, (entry, name) in enumerate(zip(entries, file_names, strict=True), 1):
        content['images'].append(
            dict(id=number, file_name=name, width=entry['width'], height=entry['height'])
        )
        for detection in entry['detections']:
            x1, y1, x2, y2 = detection['box']
            box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
            score = detection['score']
            content['annotations'].append(_annotation(number, ids[detection['label']], box, score))
    return content


def _file_names(paths: Sequence[Path], folder: str | Path | None) -> list[str]:
    """What to call images, each differently."""
    if folder is None:
        names = [path.name for path in paths]
        return below(paths) if repeated(names) else names
    root, found = Path(abspath(folder)), [Path(abspath(path)) for path in paths]
    outside = [str(path) for path in found if not path.is_relative_to(root)]
    if outside:
        raise ConfigError(f'--images {folder}: not in it are {shorten(outside)}.')
    return [path.relative_to(root).as_posix() for path in found]
