"""Transforms that MMDetection lacks."""
from shufflenet_runtime.images import reason_of, say_if_dark, why_unreadable
from shufflenet_runtime.jpeg import is_cut_off
from shufflenet_runtime.resizing import INTERPOLATIONS

import cv2
import mmcv
import numpy as np
from mmcv.image.geometric import cv2_interp_codes
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS

from ..common.errors import DataError
from .decode import read_image_file

# ``interpolation='bilinear_exact'`` of MMDetection's transforms: OpenCV's bilinear interpolation in
# whole numbers. Its ``bilinear`` rounds otherwise on ARM, where a detector then finds other scores.
cv2_interp_codes['bilinear_exact'] = INTERPOLATIONS['bilinear_exact']


@TRANSFORMS.register_module()
class CheckedLoadImageFromFile(LoadImageFromFile):
    """``LoadImageFromFile`` that names the file it cannot read.

    OpenCV fills the missing part of a truncated JPEG with grey and goes on; here that is an error.

    Raises:
        DataError: the file is missing, truncated or not an image.
    """

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        content = read_image_file(path, self.backend_args)
        try:
            image = self._decode(content)
        except cv2.error as error:
            raise DataError(f'cannot read image {path}: {reason_of(error)}.') from None
        if image is None:
            raise DataError(f'cannot read image {path}: {why_unreadable(path, content)}.')
        say_if_dark(image, content, path)
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _decode(self, content: bytes) -> np.ndarray | None:
        """The image (H, W, 3), or None where the bytes are no whole image."""
        if not content or is_cut_off(content):
            return None
        return mmcv.imfrombytes(
            content, flag=self.color_type, backend=self.imdecode_backend
        )


@TRANSFORMS.register_module()
class FastPackDetInputs(PackDetInputs):
    """``PackDetInputs``, with the same tensors several times as fast.

    The pixels (H, W, 3) become planes (3, H, W), and those of a mirrored image, which is a view
    until then, are mirrored, by OpenCV instead of one by one.
    """

    def transform(self, results: dict) -> dict:
        image = results.get('img')
        if image is not None and image.ndim == 3 and image.shape[2] == 3:
            results = {**results, 'img': _planes(image).transpose(1, 2, 0)}
        return super().transform(results)


def _planes(image: np.ndarray) -> np.ndarray:
    """The channels of an image (H, W, 3), one after the other: (3, H, W)."""
    if image.strides[1] < 0:
        # the view of the view is the image before it was mirrored
        image = cv2.flip(np.ascontiguousarray(image[:, ::-1]), 1)
    planes = np.empty((3, *image.shape[:2]), image.dtype)
    cv2.split(np.ascontiguousarray(image), list(planes))
    return planes
