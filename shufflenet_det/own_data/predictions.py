"""What a detector found, as a COCO data set: for labelling tools to open, correct and give back."""
import json
from collections.abc import Sequence
from pathlib import Path

from ..common.cli import write_atomically
from ..common.errors import ConfigError, DataError


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
        images: folder that the file names are to be relative to; by default names alone.
        classes: names in the order that they shall have; by default all that were found, sorted.

    Returns:
        The content of the file. Each annotation has its ``score``.

    Raises:
        DataError: ``found`` is neither of the two, or an image of it could not be read.
        ConfigError: a result file without its annotations.
    """
    try:
        entries = json.loads(Path(found).read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f'{found} is no JSON file: {error}.') from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f'{found} is no list of detections.')
    if entries and 'image_id' in entries[0]:
        content = _of_results(entries, annotations, found)
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


def _of_results(entries: list[dict], annotations: str | Path | None, found: str | Path) -> dict:
    if annotations is None:
        raise ConfigError(
            f'{found} is a COCO result file, which does not name its images: give the annotation '
            f'file of the test with --annotations.'
        )
    truth = json.loads(Path(annotations).read_text())
    strangers = {e['image_id'] for e in entries} - {image['id'] for image in truth['images']}
    if strangers:
        raise DataError(f'{annotations} has no images {sorted(strangers)[:5]}, which {found} has.')
    return dict(
        images=truth['images'],
        categories=truth['categories'],
        annotations=[
            _annotation(e['image_id'], e['category_id'], e['bbox'], e['score']) for e in entries
        ],
    )


def _of_runtime(
    entries: list[dict], found: str | Path, folder: str | Path | None, classes: Sequence[str]
) -> dict:
    for entry in entries:
        if 'error' in entry:
            raise DataError(f'{found}: {entry["image"]} could not be read: {entry["error"]}')
        if 'detections' not in entry or 'frame' in entry:
            raise DataError(
                f'{found} is no list of detections in images, as `python -m shufflenet_runtime '
                f'--json` writes it of a detector and of image files.'
            )
    names = {d['label'] for entry in entries for d in entry['detections']}
    if classes and names - set(classes):
        raise ConfigError(f'--classes lacks {", ".join(sorted(names - set(classes)))}.')
    ids = {name: number for number, name in enumerate(classes or sorted(names), 1)}
    content = dict(
        images=[], annotations=[], categories=[dict(id=i, name=n) for n, i in ids.items()]
    )
    for number, entry in enumerate(entries, 1):
        path = Path(entry['image'])
        name = path.absolute().relative_to(Path(folder).absolute()) if folder else path.name
        content['images'].append(
            dict(id=number, file_name=str(name), width=entry['width'], height=entry['height'])
        )
        for detection in entry['detections']:
            x1, y1, x2, y2 = detection['box']
            box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
            score = detection['score']
            content['annotations'].append(_annotation(number, ids[detection['label']], box, score))
    return content
