"""Transforms that MMDetection lacks."""
from shufflenet_runtime.images import reason_of, say_if_dark, why_unreadable
from shufflenet_runtime.jpeg import is_cut_off

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS

from ..common.errors import DataError
from .decode import read_image_file


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
