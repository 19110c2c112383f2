"""Scenes as records of COCO's instance annotations."""

from __future__ import annotations

import cv2
import numpy as np

from .scenes import Instance, Scene
from .shapes import CATEGORIES

# Contours are traced on a finer grid, where they keep an eighth of a pixel from the pixel edges.
_TRACE = 4
# Pixels a polygon may cut off: enough to smooth the stairs of a slanted edge, and little else.
_TOLERANCE = 0.5


def mask_to_rle(mask: np.ndarray) -> dict:
    """Run lengths of a mask as COCO stores crowds.

    Args:
        mask: bool [h, w].

    Returns:
        `{'counts': [...], 'size': [h, w]}`: lengths of alternating runs of background and object in
        column-major order, background first.
    """
    pixels = np.concatenate([[False], mask.ravel(order='F')])
    ends = np.flatnonzero(pixels[1:] != pixels[:-1])
    counts = np.diff(np.concatenate([[0], ends, [mask.size]]))
    return {'counts': counts.tolist(), 'size': list(mask.shape)}


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width and height in pixels of the smallest box around a mask [h, w], not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Outlines of a mask as COCO stores single objects.

    COCO's polygons know no holes, so a piece with a hole is split by a vertical cut through it.

    Args:
        mask: bool [h, w].

    Returns:
        For each piece `[x0, y0, x1, y1, ...]` in pixels, with integers at pixel edges.
    """
    if not mask.any():
        return []
    x, y, width, height = _tight_box(mask)
    crop = mask[y : y + height, x : x + width].astype(np.uint8)
    fine = cv2.resize(crop, None, fx=_TRACE, fy=_TRACE, interpolation=cv2.INTER_NEAREST)
    fine = cv2.copyMakeBorder(fine, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    contours, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [contour for contour, links in zip(contours, tree[0], strict=True) if links[3] >= 0]
    if holes:
        left, _, span, _ = cv2.boundingRect(max(holes, key=cv2.contourArea))
        cut = x + int(np.clip(round((left + span / 2 - 1) / _TRACE), 1, width - 1))
        parts = mask.copy(), mask.copy()
        parts[0][:, cut:] = False
        parts[1][:, :cut] = False
        return [polygon for part in parts for polygon in mask_to_polygons(part)]
    polygons = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, _TOLERANCE * _TRACE, True).reshape(-1, 2)
        if len(points) >= 3:
            corners = (points - 0.5) / _TRACE + (x, y)
            polygons.append(np.round(corners, 2).ravel().tolist())
    return polygons


def _annotation(instance: Instance, number: int, image_id: int) -> dict:
    mask = instance.mask
    segmentation = mask_to_rle(mask) if instance.crowd else mask_to_polygons(mask)
    return {
        'segmentation': segmentation,
        'area': float(np.count_nonzero(mask)),
        'iscrowd': int(instance.crowd),
        'image_id': image_id,
        'bbox': [float(value) for value in _tight_box(mask)],
        'category_id': instance.category.id,
        'id': image_id * 100 + number,
    }


def scene_records(scene: Scene, image_id: int) -> tuple[dict, list[dict]]:
    """The COCO records of a scene.

    Args:
        scene: a rendered scene.
        image_id: id of the picture; also determines its file name and the ids of its annotations.

    Returns:
        The image record and its annotation records. Areas are the pixels of the visible masks,
        boxes `[x, y, width, height]` are tight around them.
    """
    height, width = scene.image.shape[:2]
    image = {
        'license': 1,
        'file_name': f'{image_id:012d}.jpg',
        'coco_url': '',
        'height': height,
        'width': width,
        'date_captured': '2017-09-01 00:00:00',
        'flickr_url': '',
        'id': image_id,
    }
    instances = enumerate(scene.instances)
    return image, [_annotation(instance, number, image_id) for number, instance in instances]


def dataset(images: list[dict], annotations: list[dict], version: str) -> dict:
    """The content of an `instances_*.json` file made of image and annotation records."""
    return {
        'info': {
            'description': 'Sample data set in the layout of COCO 2017: rendered, not photographed',
            'url': '',
            'version': version,
            'year': 2017,
            'contributor': 'shufflenet_det',
            'date_created': '2017/09/01',
        },
        'licenses': [
            {
                'url': 'https://creativecommons.org/publicdomain/zero/1.0/',
                'id': 1,
                'name': 'CC0 1.0 Universal',
            }
        ],
        'images': images,
        'annotations': annotations,
        'categories': [
            {'supercategory': category.supercategory, 'id': category.id, 'name': category.name}
            for category in CATEGORIES
        ],
    }
