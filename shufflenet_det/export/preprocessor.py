"""The preprocessing of a model inside its graph: the type, the normalisation, the padding."""
from typing import Any

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import ClassifierPreprocessor


class PlainPreprocessor(nn.Module):
    """What ``data_preprocessor`` does with images, except for the order of their channels.

    Images come in the order that the network sees, because whoever brings the channels of a picture
    to the front can put them into any order for nothing.

    Args:
        preprocessor: of a detector or a classifier of this package.

    Attributes:
        subtracts: whether their mean is subtracted from images; nothing is where it is zero.
        divides: whether images are divided by their standard deviation; the first convolution may
            do it instead.
    """

    def __init__(self, preprocessor: ImgDataPreprocessor | ClassifierPreprocessor) -> None:
        super().__init__()
        self.normalises = getattr(preprocessor, '_enable_normalize', True)
        self.subtracts = self.divides = self.normalises
        if self.normalises:
            for name in ('mean', 'std'):
                self.register_buffer(name, getattr(preprocessor, name), persistent=False)
        self.divisor = getattr(preprocessor, 'pad_size_divisor', 1)
        self.pad_value = getattr(preprocessor, 'pad_value', 0)

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) of uint8 to float32, padded at the right and at the bottom."""
        if not (self.subtracts or self.divides) and self.pad_value in range(256):
            # a quarter of what there is to copy, and bytes for whoever reads them as such
            return self._padded(image).float()
        image = image.float()
        if self.subtracts:
            image = image - self.mean
        if self.divides:
            image = image / self.std
        return self._padded(image)

    def _padded(self, image: Tensor) -> Tensor:
        if self.divisor == 1:
            return image
        bottom, right = (self._missing(size) for size in image.shape[2:])
        return F.pad(image, (0, right, 0, bottom), value=self.pad_value)

    def _missing(self, size: int | Tensor) -> int | Tensor:
        # not -size % divisor, which ONNX rounds in another way
        parts = torch.as_tensor(size) + (self.divisor - 1)
        return torch.div(parts, self.divisor, rounding_mode='trunc') * self.divisor - size


def describe_padding(preprocess: PlainPreprocessor) -> dict[str, Any]:
    """``padding`` of :mod:`shufflenet_runtime.two_stage` and :mod:`shufflenet_runtime.dense`."""
    values = [float(preprocess.pad_value)] * 3
    if preprocess.normalises:
        # what becomes the value of the padding when it is normalised
        values = (preprocess.mean + preprocess.pad_value * preprocess.std).flatten().tolist()
    return dict(divisor=preprocess.divisor, values=values)
