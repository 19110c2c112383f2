"""What a detector's errors are: by kind, class, size, score and image; computed by hotcoco."""
import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.errors import ConfigError, DataError
from ..data.coco import CheckedCOCO

ERRORS = {
    'Cls': ('classification', 'on an object, of the wrong class'),
    'Loc': ('localisation', 'of the right class, too far off (IoU 0.1 to 0.5)'),
    'Both': ('both', 'of the wrong class, and too far off'),
    'Dupe': ('duplicate', 'of an object that a surer detection has found'),
    'Bkg': ('background', 'where there is nothing (IoU below 0.1)'),
    'Miss': ('missed', 'objects without a detection, not even a wrong one'),
}
"""TIDE's kinds of errors (Bolya et al., ECCV 2020): name and meaning."""
SIZES = ('small', 'medium', 'large')
MATCH_IOU = 0.5


@dataclass
class ImageErrors:
    """One image with its truth and detections.

    Attributes:
        file_name, width, height: of the image, in pixels.
        truth: ``[x, y, w, h, class index, score of its detection or -1, crowd 0/1]`` an object.
        found: ``[x, y, w, h, class index, score, right 0/1]`` a detection, the surest first;
            those on crowds and beyond the hundredth, which nobody counts, are left out.
        wrong, missed: false detections and objects not found at the best threshold.
    """

    file_name: str
    width: int
    height: int
    truth: list[list[float]]
    found: list[list[float]]
    wrong: int = 0
    missed: int = 0


@dataclass
class DetectionAnalysis:
    """All that the page shows of the detections of a run.

    Attributes:
        classes: names, in the order of the arrays.
        stats: the COCO API's twelve figures.
        average_precision: (classes, 6) mAP, mAP_50, mAP_75, and for small, medium and large
            objects; -1 where there is nothing to measure.
        precision: (IoU thresholds, recalls, classes) of all sizes.
        recalls, ious: their axes.
        errors: by TIDE's kind, how much AP_50 rises without them, and how many there are.
        confusion: (classes + 1, classes + 1) counts, truth by detection; the last is background.
        bins: (lower edge, mean score, share right, detections) for each tenth of the scores.
        calibration_error: mean distance of score and share right, weighted by detections (ECE).
        thresholds: rows of (score, precision, recall, F1) over all classes.
        best: the row with the highest F1.
        best_by_class: for each class (score, precision, recall, F1), or None without objects.
        images: by image id.
    """

    classes: list[str]
    stats: list[float]
    average_precision: np.ndarray
    precision: np.ndarray
    recalls: np.ndarray
    ious: np.ndarray
    errors: dict[str, tuple[float, int]]
    confusion: np.ndarray
    bins: list[tuple[float, float, float, int]]
    calibration_error: float
    thresholds: np.ndarray
    best: tuple[float, float, float, float]
    best_by_class: list[tuple[float, float, float, float] | None]
    images: dict[int, ImageErrors]


def analyse(
    annotations: str | Path,
    results: list[dict],
    classes: list[str],
    image_ids: Sequence | None = None,
) -> DetectionAnalysis:
    """Compare detections with their truth.

    Args:
        annotations: truth in COCO format.
        results: COCO results, boxes with scores.
        classes: names of the classes to look at.
        image_ids: the images that were tested; None for all of the annotations.

    Raises:
        ConfigError: hotcoco is not installed.
        DataError: the annotations are missing, or not those of the results.
    """
    evaluation, truth, ids = _evaluate(annotations, results, classes, image_ids)
    precision = np.ascontiguousarray(evaluation.eval['precision'])[..., -1]
    order = {cat_id: i for i, cat_id in enumerate(sorted(ids))}
    precision = precision[:, :, [order[i] for i in ids]]
    slices = [(slice(None), 0), ([0], 0), ([5], 0), *((slice(None), area) for area in (1, 2, 3))]
    tide = evaluation.tide_errors(pos_thr=MATCH_IOU)
    diagnosis = evaluation.image_diagnostics(iou_thr=MATCH_IOU, score_thr=0.0)
    found = _table(results, truth, ids, diagnosis)
    objects = np.bincount([ids.index(a['category_id']) for a in truth['annotations']
                           if not a.get('iscrowd') and a['category_id'] in ids],
                          minlength=len(ids))  # fmt: skip
    thresholds = _thresholds(found['score'], found['right'], objects.sum())
    best = tuple(thresholds[thresholds[:, 3].argmax()].tolist()) if len(thresholds) else (0.0,) * 4
    calibration = evaluation.calibration(n_bins=10, iou_threshold=MATCH_IOU)
    images = _images(truth, ids, results, diagnosis)
    for image in images.values():
        image.wrong = sum(not box[6] for box in image.found if box[5] >= best[0])
        image.missed = sum(box[5] < best[0] for box in image.truth if not box[6])
    return DetectionAnalysis(
        classes,
        list(evaluation.stats),
        np.array([[precision[t, :, c, a].mean() for t, a in slices] for c in range(len(ids))]),
        precision[..., 0],
        np.array(evaluation.params.recThrs),
        np.array(evaluation.params.iouThrs),
        {kind: (tide['delta_ap'][kind], tide['counts'][kind]) for kind in ERRORS},
        _confusion(evaluation, ids, best[0]),
        [
            (b['bin_lower'], b['avg_confidence'], b['avg_accuracy'], b['count'])
            for b in calibration['bins']
        ],
        calibration['ece'],
        thresholds,
        best,
        [_best_of_class(found, index, objects[index]) for index in range(len(ids))],
        images,
    )


def require_hotcoco() -> None:
    """Raise ``ConfigError`` where hotcoco is missing."""
    try:
        import hotcoco  # noqa: F401
    except ImportError:
        raise ConfigError(
            "the page needs hotcoco for the errors of a detector: `pip install "
            "'shufflenet_det[report]'`."
        ) from None


def _evaluate(
    annotations: str | Path, results: list[dict], classes: list[str], image_ids: Sequence | None
) -> tuple:
    require_hotcoco()
    import hotcoco

    if not Path(annotations).is_file():
        raise DataError(
            f'{annotations} is missing: it holds the truth that the detections are compared with. '
            f'Put it back, or test again where it is now.'
        )
    # what text means as a number is read as in the test
    truth = CheckedCOCO(annotations).dataset
    if image_ids is not None:
        those = set(image_ids)
        truth = truth | dict(
            images=[image for image in truth['images'] if image['id'] in those],
            annotations=[a for a in truth['annotations'] if a['image_id'] in those],
        )
    data = hotcoco.COCO(truth)
    by_name = {category['name']: category['id'] for category in truth['categories']}
    absent = [name for name in classes if name not in by_name]
    strangers = {r['image_id'] for r in results} - {image['id'] for image in truth['images']}
    if absent or strangers:
        what = f'classes {", ".join(absent[:5])}' if absent else f'images {sorted(strangers)[:5]}'
        raise DataError(
            f'{annotations} is not what the detections were tested on: it lacks the {what}. It was '
            f'changed since; test again.'
        )
    ids = [by_name[name] for name in classes]
    evaluation = hotcoco.COCOeval(data, data.load_res(results), 'bbox')
    evaluation.params.catIds = sorted(ids)
    # to its own log: the page shows the figures
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation, truth, ids


def _table(results: list[dict], truth: dict, ids: list[int], diagnosis: dict) -> dict:
    """Score, class and rightness of all detections that count, as arrays."""
    status = diagnosis['dt_status']
    # COCO results are numbered from 1 in their order
    counted = [(r, status[i]) for i, r in enumerate(results, 1) if i in status]
    return dict(
        score=np.array([r['score'] for r, _ in counted], dtype=float),
        label=np.array([ids.index(r['category_id']) for r, _ in counted], dtype=int),
        right=np.array([s == 'tp' for _, s in counted], dtype=bool),
    )


def _thresholds(scores: np.ndarray, right: np.ndarray, objects: int) -> np.ndarray:
    """(score, precision, recall, F1) for each different score, from the highest down.

    The detections above a threshold are matched as if there were no others: the COCO API gives
    objects to the surest detections first.
    """
    order = np.argsort(-scores, kind='stable')
    scores, hits = scores[order], right[order].cumsum()
    last = np.append(scores[1:] != scores[:-1], True) if len(scores) else np.zeros(0, bool)
    count = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (count + objects) if objects else np.zeros(len(scores))
    recall = hits / max(objects, 1)
    return np.stack([scores, hits / count, recall, f1], axis=1)[last]


def _best_of_class(found: dict, label: int, objects: int) -> tuple | None:
    own = found['label'] == label
    rows = _thresholds(found['score'][own], found['right'][own], objects)
    if not objects:
        return None
    return tuple(rows[rows[:, 3].argmax()].tolist()) if len(rows) else (0.0, 0.0, 0.0, 0.0)


def _confusion(evaluation: object, ids: list[int], score: float) -> np.ndarray:
    """Counts in the order of ``ids``, background last, of detections that are used: without a
    threshold the many unsure ones would hide the rest."""
    matrix = evaluation.confusion_matrix(iou_thr=MATCH_IOU, min_score=score)
    index = [list(matrix['cat_ids']).index(i) for i in ids] + [len(matrix['cat_ids'])]
    return np.array(matrix['matrix'], dtype=int)[np.ix_(index, index)]


def _images(
    truth: dict, ids: list[int], results: list[dict], diagnosis: dict
) -> dict[int, ImageErrors]:
    images = {
        i['id']: ImageErrors(i['file_name'], i['width'], i['height'], [], [])
        for i in truth['images']
    }
    for annotation in truth['annotations']:
        if annotation['category_id'] not in ids:
            continue
        match = diagnosis['gt_match'].get(annotation['id'])
        score = results[match - 1]['score'] if match else -1
        crowd = int(annotation.get('iscrowd') or 0)
        label = ids.index(annotation['category_id'])
        images[annotation['image_id']].truth.append([*annotation['bbox'], label, score, crowd])
    for number, result in enumerate(results, 1):
        status = diagnosis['dt_status'].get(number)
        if status is not None:
            label = ids.index(result['category_id'])
            right = int(status == 'tp')
            images[result['image_id']].found.append(
                [*result['bbox'], label, result['score'], right]
            )
    for image in images.values():
        image.found.sort(key=lambda box: -box[5])
    return images
