"""SSD's augmentation as MMDetection has it: the same samples of the same random numbers, faster.

MMDetection distorts the colours of the whole image, copies it into a larger one and throws most of
that away again. Here the part that is kept is found first. Sources: `PhotoMetricDistortion`,
`Expand` and `MinIoURandomCrop` of MMDetection 3.3, after Liu et al., SSD, ECCV 2016.
"""
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import Expand, MinIoURandomCrop, PhotoMetricDistortion
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type
from numpy import random

Patch = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

# an IoU this far below the threshold is below it however it is rounded
_MARGIN = 1e-4


class _Objects:
    """The boxes of an image, for comparing one crop after the other with them."""

    def __init__(self, boxes: HorizontalBoxes) -> None:
        self._boxes = boxes
        self._x1, self._y1, self._x2, self._y2 = boxes.tensor.numpy().astype(np.float64).T
        self._areas = (self._x2 - self._x1) * (self._y2 - self._y1)
        self._smallest = self._areas.min(initial=np.inf)

    def fit(self, patch: Patch, least_iou: float) -> bool:
        """Whether all have this IoU with ``patch``, and one its centre in it; so have no boxes."""
        boxes = self._boxes
        if not len(boxes):
            return True
        if self._is_below(patch, least_iou - _MARGIN):
            return False
        this = HorizontalBoxes(np.array([patch], np.float32))
        return bool(
            boxes.overlaps(this, boxes).min() >= least_iou and _has_centre(patch, boxes).any()
        )

    def _is_below(self, patch: Patch, iou: float) -> bool:
        """Whether one has a smaller IoU with ``patch``."""
        left, top, right, bottom = patch
        area = (right - left) * (bottom - top)
        # the IoU with a box is at most its share of the patch
        if self._smallest < iou * area:
            return True
        width = np.minimum(self._x2, right) - np.maximum(self._x1, left)
        height = np.minimum(self._y2, bottom) - np.maximum(self._y1, top)
        common = width.clip(0) * height.clip(0)
        return bool((common < iou * (area + self._areas - common)).any())


class FastMinIoURandomCrop(MinIoURandomCrop):
    """``MinIoURandomCrop`` with the same crops, several times as fast.

    Hundreds of crops are tried for an image of many objects. MMDetection compares each with the
    boxes through PyTorch; here PyTorch decides only where NumPy says that it is close or fits.
    """

    def find(self, shape: tuple[int, int], boxes: HorizontalBoxes) -> Patch | None:
        """A crop of an image of ``shape`` (height, width), or None: all of it.

        Args:
            boxes: those of its objects. The crop has the centre of one, if there are any.
        """
        objects = _Objects(boxes)
        while True:
            mode = self._random_mode()
            if mode == 1:
                return None
            for _ in range(50):
                patch = self._draw_patch(*shape)
                if patch is not None and objects.fit(patch, mode):
                    return patch

    def _draw_patch(self, h: int, w: int) -> Patch | None:
        """A crop, or None if it is too narrow."""
        new_w = random.uniform(self.min_crop_size * w, w)
        new_h = random.uniform(self.min_crop_size * h, h)
        if new_h / new_w < 0.5 or new_h / new_w > 2:
            return None
        left = random.uniform(w - new_w)
        top = random.uniform(h - new_h)
        patch = int(left), int(top), int(left + new_w), int(top + new_h)
        return None if patch[2] == patch[0] or patch[3] == patch[1] else patch

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Crop image, boxes, masks and segmentation, or leave them whole."""
        patch = self.find(results['img'].shape[:2], results['gt_bboxes'])
        if patch is None:
            return results
        left, top, right, bottom = patch
        kept = self.crop_boxes(results, patch)
        if kept is not None and results.get('gt_masks') is not None:
            results['gt_masks'] = results['gt_masks'][kept.nonzero()[0]].crop(np.array(patch))
        for key in ('img', 'gt_seg_map'):
            if results.get(key) is not None:
                results[key] = results[key][top:bottom, left:right]
        results['img_shape'] = results['img'].shape[:2]
        return results

    def crop_boxes(self, results: dict, patch: Patch) -> np.ndarray | None:
        """Keep what has its centre in ``patch``; which boxes these are, or None of no boxes."""
        boxes = results['gt_bboxes']
        if not len(boxes):
            return None
        left, top, right, bottom = patch
        kept = _has_centre(patch, boxes)
        boxes = boxes[kept]
        boxes.translate_([-left, -top])
        if self.bbox_clip_border:
            boxes.clip_([bottom - top, right - left])
        results['gt_bboxes'] = boxes
        for key in ('gt_ignore_flags', 'gt_bboxes_labels'):
            if results.get(key) is not None:
                results[key] = results[key][kept]
        return kept


class _Distortion(PhotoMetricDistortion):
    """``PhotoMetricDistortion`` by random numbers that were drawn before."""

    def __init__(self, flags: tuple) -> None:
        self._flags = flags

    def _random_flags(self) -> tuple:
        return self._flags


class FastDistortExpandCrop(BaseTransform):
    """``PhotoMetricDistortion``, ``Expand`` and ``MinIoURandomCrop``, one after the other, faster.

    It draws the same random numbers in the same order, then cuts out what stays and distorts the
    colours of that alone. The samples are the same, but for colours at the edges of an image, which
    OpenCV rounds otherwise: by less than 0.001 of 255.

    Args:
        distort, expand, crop: the three of MMDetection.
    """

    def __init__(
        self, distort: PhotoMetricDistortion, expand: Expand, crop: FastMinIoURandomCrop
    ) -> None:
        self.distort, self.expand, self.crop = distort, expand, crop

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Image, boxes, labels and flags of a part of the image; with masks, the three in turn."""
        if any(results.get(key) is not None for key in ('gt_masks', 'gt_seg_map')):
            for step in (self.distort, self.expand, self.crop):
                results = step(results)
            return results
        image = results['img']
        flags = self.distort._random_flags()
        canvas, left, top = self._place(*image.shape[:2])
        if (left, top) != (0, 0):
            results['gt_bboxes'].translate_([left, top])
        patch = self.crop.find(canvas, results['gt_bboxes'])
        if patch is None:
            patch = 0, 0, canvas[1], canvas[0]
        else:
            self.crop.crop_boxes(results, patch)
        results['img'] = self._draw(image, flags, patch, left, top)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _place(self, h: int, w: int) -> tuple[tuple[int, int], int, int]:
        """Height and width of the larger image, and where in it the image begins: left, top."""
        if self.expand._random_prob() > self.expand.prob:
            return (h, w), 0, 0
        ratio = self.expand._random_ratio()
        return (int(h * ratio), int(w * ratio)), *self.expand._random_left_top(ratio, h, w)

    def _draw(
        self, image: np.ndarray, flags: tuple, patch: Patch, left: int, top: int
    ) -> np.ndarray:
        """The part ``patch`` of the larger image, (H, W, 3) of float32."""
        x1, y1, x2, y2 = patch[0] - left, patch[1] - top, patch[2] - left, patch[3] - top
        part = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
        mean = self.expand.mean
        if not part.size:
            return np.full((y2 - y1, x2 - x1, 3), mean, np.float32)
        part = _Distortion(flags).transform(dict(img=part))['img']
        h, w = part.shape[:2]
        above, before = max(-y1, 0), max(-x1, 0)
        edges = above, y2 - y1 - above - h, before, x2 - x1 - before - w
        return cv2.copyMakeBorder(part, *edges, cv2.BORDER_CONSTANT, value=mean)


def _has_centre(patch: Patch, boxes: HorizontalBoxes) -> np.ndarray:
    """Which boxes have their centre in ``patch``."""
    x, y = boxes.centers.numpy().T
    left, top, right, bottom = patch
    return (x > left) & (y > top) & (x < right) & (y < bottom)
