"""The worst images of a run, small enough for a page, with what the page draws on them."""
import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .classification import ClassificationAnalysis
from .detections import DetectionAnalysis, ImageErrors

LONG_SIDE = 480
QUALITY = 60
BYTES_OF_IMAGES = 2_500_000
"""Of all images of a page, as text: it stays below 5 MB with Bokeh's 1.3 and the figures."""
LEAST_SCORE = 0.05
MOST_BOXES = 100


class Gallery:
    """Images of a page, until it is full.

    Attributes:
        entries: for the page's script; see :meth:`add`.
        missing: files that are no longer where they were.
        left_out: images for which there was no room.
    """

    def __init__(self, room: int = BYTES_OF_IMAGES) -> None:
        self.entries: list[dict] = []
        self.missing: list[str] = []
        self.left_out = 0
        self._room = room

    def add(self, path: Path | None, entry: dict) -> None:
        """Add an image: its file, and what the page knows of it.

        An image that is missing is shown without its pixels.
        """
        source = None
        if path is not None:
            source = thumbnail(path)
        if source is None:
            self.missing.append(str(path or entry['name']))
        elif len(source) > self._room:
            self.left_out += 1
            return
        else:
            self._room -= len(source)
        self.entries.append({**entry, 'src': source})


def thumbnail(path: Path) -> str | None:
    """The image as a small WebP in a data URL; None where it cannot be read."""
    # unlike cv2.imread it is silent about a missing file
    data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        return None
    scale = min(1, LONG_SIDE / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode('.webp', small, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return 'data:image/webp;base64,' + base64.b64encode(encoded.tobytes()).decode()


def worst_images(
    gallery: Gallery,
    folder: str | None,
    names: Sequence[str],
    analyses: Sequence[DetectionAnalysis],
    most: int,
) -> None:
    """Add the images with the most errors of the first run, with the boxes of all runs.

    Args:
        gallery: what they are added to.
        folder: of the images.
        names: of the runs, which are of the same data.
        analyses: of the same runs.
        most: images to add.
    """
    first = analyses[0].images
    order = sorted(first, key=lambda i: (-first[i].wrong - first[i].missed, i))
    for image_id in order[:most]:
        image = first[image_id]
        runs = {
            name: boxes(analysis.images[image_id]) | dict(classes=analysis.classes)
            for name, analysis in zip(names, analyses, strict=True)
            if image_id in analysis.images
        }
        entry = dict(name=image.file_name, width=image.width, height=image.height, runs=runs)
        gallery.add(Path(folder, image.file_name) if folder else None, entry)


def boxes(image: ImageErrors) -> dict:
    """Truth and detections of an image with as few characters as will do."""
    found = [box for box in image.found[:MOST_BOXES] if box[5] >= LEAST_SCORE]
    return dict(
        truth=[[*map(round, box[:4]), box[4], round(box[5], 3), box[6]] for box in image.truth],
        found=[[*map(round, box[:4]), box[4], round(box[5], 3), box[6]] for box in found],
        wrong=image.wrong,
        missed=image.missed,
    )


def most_wrong(gallery: Gallery, name: str, analysis: ClassificationAnalysis, most: int) -> None:
    """Add the images of which a classifier was surest and wrong."""
    for record in analysis.wrong[:most]:
        path = Path(record['path'])
        answers = [[n, round(s, 4)] for n, s in list(record['predictions'].items())[:3]]
        gallery.add(path, dict(name=path.name, run=name, label=record['label'], answers=answers))
