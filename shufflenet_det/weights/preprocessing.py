"""What pixels a network's weights expect, and what a model's preprocessor gives them."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmdet.models.data_preprocessors import ReIDDataPreprocessor
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from ..models.classifier import IMAGENET_MEAN, IMAGENET_STD, ClassifierPreprocessor

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How pixels in 0..255 become the network's input.

    Attributes:
        mean: subtracted from each channel, in ``channel_order``.
        std: by which each channel is then divided, in ``channel_order``.
        channel_order: ``'rgb'`` or ``'bgr'``, as the network sees the channels.
    """

    mean: Triple
    std: Triple
    channel_order: str

    def agrees_with(self, other: 'Preprocessing') -> bool:
        """Whether both give a network the same input, but for the digits of mean and std."""
        return self.channel_order == other.channel_order and all(
            math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-2)
            for a, b in zip(self.mean + self.std, other.mean + other.std, strict=True)
        )

    def as_detector_cfg(self) -> dict:
        """Arguments of MMDetection's ``DetDataPreprocessor``, whose images arrive as BGR."""
        rgb = self.channel_order == 'rgb'
        return dict(mean=list(self.mean), std=list(self.std), bgr_to_rgb=rgb)

    def as_classifier_cfg(self) -> dict:
        """Arguments of our ``ClassifierPreprocessor``, whose images arrive as RGB."""
        bgr = self.channel_order == 'bgr'
        return dict(mean=list(self.mean), std=list(self.std), rgb_to_bgr=bgr)

    def as_mmpretrain_cfg(self) -> dict:
        """Arguments of mmpretrain's ``ClsDataPreprocessor``, whose images arrive as BGR."""
        rgb = self.channel_order == 'rgb'
        return dict(mean=list(self.mean), std=list(self.std), to_rgb=rgb)

    def __str__(self) -> str:
        mean, std = (', '.join(f'{value:g}' for value in row) for row in (self.mean, self.std))
        if set(self.mean) == {0} and set(self.std) == {1}:
            return f'{self.channel_order.upper()} in 0..255, no mean, no std'
        return f'{self.channel_order.upper()} with mean ({mean}) and std ({std})'


IMAGENET = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, 'rgb')
RAW_BGR = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 'bgr')


def preprocessing_of(preprocessor: nn.Module | None) -> Preprocessing | None:
    """What a built ``data_preprocessor`` does, or None where that cannot be known.

    MMDetection's preprocessors get BGR from ``LoadImageFromFile``, ours for classifiers gets RGB.
    """
    if isinstance(preprocessor, ClassifierPreprocessor):
        order = 'bgr' if preprocessor.rgb_to_bgr else 'rgb'
        return Preprocessing(_triple(preprocessor.mean), _triple(preprocessor.std), order)
    if isinstance(preprocessor, (ImgDataPreprocessor, ReIDDataPreprocessor)):
        of_reid = isinstance(preprocessor, ReIDDataPreprocessor)
        flipped = preprocessor.to_rgb if of_reid else preprocessor._channel_conversion
        order = 'rgb' if flipped else 'bgr'
        if not preprocessor._enable_normalize:
            return Preprocessing(RAW_BGR.mean, RAW_BGR.std, order)
        return Preprocessing(_triple(preprocessor.mean), _triple(preprocessor.std), order)
    # MultiBranchDataPreprocessor of the semi-supervised detectors hands on to another
    inner = getattr(preprocessor, 'data_preprocessor', None)
    return None if inner is None else preprocessing_of(inner)


def _triple(values: Tensor | Sequence[float]) -> Triple:
    # six digits: what float32 adds behind them is no one's intention
    numbers = [float(f'{float(value):.6g}') for value in values.flatten()]
    return tuple(numbers * 3 if len(numbers) == 1 else numbers)
