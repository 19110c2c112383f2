"""Pictures of annotations, and of results: ground truth beside detections."""
from collections.abc import Sequence
from pathlib import Path

from shufflenet_runtime.files import printable
from shufflenet_runtime.images import read_image

import cv2
import numpy as np
from pycocotools.coco import COCO

from .coco_metric import load_results

# Okabe and Ito's colours, told apart by people of all kinds of colour vision; BGR
COLOURS = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
    (60, 60, 60),
)
# a picture's height in parts of its width
HIGHEST = 3


def contact_sheet(
    annotations: str | Path,
    images: str | Path,
    results: str | Path,
    out: str | Path,
    count: int = 6,
    score_threshold: float = 0.5,
    width: int = 480,
) -> None:
    """Draw ``count`` images as rows of ground truth (left) and detections (right).

    Args:
        annotations: ground truth in COCO format.
        images: folder of the images.
        results: COCO result file.
        out: picture file to write.
        count: images, spread evenly over those of the annotations that have objects.
        score_threshold: least score of a detection to be drawn.
        width: width of each of the two pictures in pixels.
    """
    truth = COCO(str(annotations))
    detections = load_results(truth, results, 'bbox')
    names = {category['id']: category['name'] for category in truth.dataset['categories']}
    rows = []
    for image_id in _spread(sorted(truth.imgToAnns), count):
        info = truth.imgs[image_id]
        image = read_image(Path(images, info['file_name']))
        found = [d for d in detections.imgToAnns[image_id] if d['score'] >= score_threshold]
        pair = [
            _titled(_draw(image, boxes, names, width), title)
            for title, boxes in (
                ('ground truth', truth.imgToAnns[image_id]),
                (f'detections with a score of at least {score_threshold}', found),
            )
        ]
        rows.append(np.hstack(pair))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), np.vstack(rows))


def truth_sheet(
    annotations: str | Path,
    images: str | Path,
    out: str | Path,
    count: int = 9,
    width: int = 360,
    columns: int = 3,
) -> None:
    """Draw ``count`` images with their annotations, to see whether these are right.

    Args:
        annotations: ground truth in COCO format.
        images: folder of the images.
        out: picture file to write.
        count: images, spread evenly over those of the annotations that have objects.
        width: width of each picture in pixels.
        columns: pictures side by side.
    """
    truth = COCO(str(annotations))
    names = {category['id']: category['name'] for category in truth.dataset['categories']}
    pictures = []
    for image_id in _spread(sorted(truth.imgToAnns), count):
        name = truth.imgs[image_id]['file_name']
        image = read_image(Path(images, name))
        drawn = _draw(image, truth.imgToAnns[image_id], names, width)
        pictures.append(_titled(drawn, name))
    rows = []
    for start in range(0, len(pictures), columns):
        row = pictures[start : start + columns]
        row += [np.full_like(row[0], 255)] * (columns - len(row) if rows else 0)
        height = max(picture.shape[0] for picture in row)
        rows.append(np.hstack([_lengthened(picture, height) for picture in row]))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), np.vstack(rows))


def _spread(values: Sequence[int], count: int) -> list[int]:
    """Up to ``count`` different values at even distances, the first and the last among them."""
    return list(
        dict.fromkeys(values[i] for i in np.linspace(0, len(values) - 1, count).astype(int))
    )


def _lengthened(picture: np.ndarray, height: int) -> np.ndarray:
    """The picture with white below it."""
    return cv2.copyMakeBorder(
        picture, 0, height - picture.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )


def _draw(
    image: np.ndarray, boxes: Sequence[dict], names: dict[int, str], width: int
) -> np.ndarray:
    """The image at ``width`` with labelled boxes; crowds are outlined in white."""
    # an image that is very tall is narrower, in white
    scale = min(width / image.shape[1], HIGHEST * width / image.shape[0])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    canvas = cv2.copyMakeBorder(
        canvas, 0, 0, 0, width - size[0], cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    order = list(names)
    for box in sorted(boxes, key=lambda b: b.get('score', 1)):
        x, y, w, h = (round(value * scale) for value in box['bbox'])
        label = printable(names[box['category_id']])
        colour = COLOURS[order.index(box['category_id']) % len(COLOURS)]
        if box.get('iscrowd'):
            label, colour = f'crowd of {label}', (255, 255, 255)
        if 'score' in box:
            label += f' {box["score"]:.2f}'
        cv2.rectangle(canvas, (x, y), (x + w, y + h), colour, 2, cv2.LINE_AA)
        (text_width, text_height), base = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
        left = min(x, width - text_width)
        top = max(y, text_height + base)
        cv2.rectangle(
            canvas, (left, top - text_height - base), (left + text_width, top), colour, cv2.FILLED
        )
        dark = sum(colour) < 300
        cv2.putText(
            canvas,
            label,
            (left, top - base // 2),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            (255, 255, 255) if dark else (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return canvas


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    bar, title = np.full((24, picture.shape[1], 3), 255, np.uint8), printable(title)
    cv2.putText(bar, title, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (0, 0, 0), 1, cv2.LINE_AA)
    return cv2.copyMakeBorder(
        np.vstack([bar, picture]), 0, 6, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
