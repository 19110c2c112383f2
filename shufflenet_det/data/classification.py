"""Transforms of classification data sets: torchvision's, by name in configs.

Every transform of ``torchvision.transforms.v2`` is registered under ``torchvision/<name>``, so a
pipeline of a classification data set reads

    [dict(type='FastRandomResizedCrop', size=224, scale=(0.25, 1.0)),
     dict(type='torchvision/RandomHorizontalFlip')]

All work on whole samples: of ``dict(inputs=..., labels=..., paths=...)`` they change the image and
leave the rest alone. Transforms that hold others, such as ``RandomApply``, are not for configs.
"""
import inspect
import math
from collections.abc import Sequence

import torch
from mmdet.registry import TRANSFORMS
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import resized_crop_image

from ..common.errors import ConfigError

_CONTAINERS = {'Transform', 'Compose', 'RandomApply', 'RandomChoice', 'RandomOrder'}

for _name, _transform in inspect.getmembers(v2, inspect.isclass):
    if issubclass(_transform, v2.Transform) and _name not in _CONTAINERS:
        TRANSFORMS.register_module(name=f'torchvision/{_name}', module=_transform)


@TRANSFORMS.register_module()
class FastRandomResizedCrop:
    """torchvision's ``RandomResizedCrop``, with the same crops and pixels but less around them.

    Bilinear and antialiased. The parameters are drawn as torchvision draws them (area, aspect ratio
    and place, ten tries), from one call of torch's generator, so that one seed gives another crop.

    Args:
        size: side of the result (3, size, size) of uint8.
        scale: least and greatest share of the image's area.
        ratio: least and greatest width by height; the logarithm is uniform.

    Raises:
        ConfigError: a range is empty or not above 0.
    """

    def __init__(
        self,
        size: int,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        for name, (low, high) in dict(scale=scale, ratio=ratio).items():
            if not 0 < low <= high:
                raise ConfigError(
                    f'{name}=({low}, {high}) of FastRandomResizedCrop must be two numbers above '
                    '0, the smaller one first.'
                )
        self.size = [size, size]
        self.scale = scale
        self.ratio = ratio
        self._log_ratio = [math.log(bound) for bound in ratio]

    def __call__(self, sample: dict) -> dict:
        image = sample['inputs']
        crop = self.draw_crop(*image.shape[-2:])
        return {**sample, 'inputs': resized_crop_image(image, *crop, self.size)}

    def draw_crop(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a random crop of an image."""
        area = height * width
        (least, greatest), (low, high) = self.scale, self._log_ratio
        for share, shape, down, right in torch.rand(10, 4).tolist():
            crop_area = area * (least + share * (greatest - least))
            ratio = math.exp(low + shape * (high - low))
            w, h = round(math.sqrt(crop_area * ratio)), round(math.sqrt(crop_area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
        return self._central_crop(height, width)

    def _central_crop(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The greatest central crop of an allowed shape, for images that no drawn crop fits."""
        h, w = height, width
        if width < height * self.ratio[0]:
            h = round(width / self.ratio[0])
        elif width > height * self.ratio[1]:
            w = round(height * self.ratio[1])
        return (height - h) // 2, (width - w) // 2, h, w


@TRANSFORMS.register_module()
class FastRandomCrop:
    """torchvision's ``RandomCrop`` of a padded image, in a tenth of the time.

    For small images, of which the padding itself takes torchvision longer than to decode them.

    Args:
        size: side of the result (3, size, size) of uint8.
        padding: pixels added on each side.
        fill: their colour, RGB; by default ImageNet's mean, which the model normalises to zero.

    Raises:
        ConfigError: ``padding`` is negative; on use, the padded image is smaller than the crop.
    """

    def __init__(
        self, size: int, padding: int = 0, fill: Sequence[int] = (124, 116, 104)
    ) -> None:
        if padding < 0:
            raise ConfigError(f'padding={padding} of FastRandomCrop must not be negative.')
        self.size, self.padding = size, padding
        self._canvas = torch.tensor(fill, dtype=torch.uint8).view(3, 1, 1).repeat(1, size, size)

    def __call__(self, sample: dict) -> dict:
        image = sample['inputs']
        space = [side + 2 * self.padding - self.size for side in image.shape[-2:]]
        if min(space) < 0:
            raise ConfigError(
                f'FastRandomCrop of {self.size} pixels does not fit into an image of '
                f'{image.shape[-1]}x{image.shape[-2]} with {self.padding} pixels around it.'
            )
        crop = self._canvas.clone()
        # where the crop begins in the image: above or left of it if negative
        down, right = (
            int(place * (free + 1)) - self.padding
            for place, free in zip(torch.rand(2).tolist(), space, strict=True)
        )
        part = image[:, max(down, 0) : down + self.size, max(right, 0) : right + self.size]
        top, left = max(-down, 0), max(-right, 0)
        crop[:, top : top + part.shape[1], left : left + part.shape[2]] = part
        return {**sample, 'inputs': crop}


@TRANSFORMS.register_module()
class ResizeCenterCrop(v2.Compose):
    """The usual evaluation, by Pillow: resize the short side to ``resize``, cut out the centre.

    Pixel for pixel ``Resize`` and ``CenterCrop`` of torchvision on a ``PIL.Image``, which published
    accuracies rest on. On tensors torchvision is faster, and off by 1 in some pixels; so is Pillow
    when it resizes the crop only.

    Args:
        resize: short side in pixels; bilinear, antialiased.
        crop: side of the square that is cut out; (3, crop, crop) of uint8 is the result.

    Raises:
        ConfigError: the crop is larger than the resized image.
    """

    def __init__(self, resize: int = 256, crop: int = 224) -> None:
        if not 0 < crop <= resize:
            raise ConfigError(f'crop={crop} must lie between 1 and resize={resize}.')
        super().__init__(
            [v2.ToPILImage(), v2.Resize(resize), v2.CenterCrop(crop), v2.PILToTensor()]
        )
        self.resize, self.crop = resize, crop
