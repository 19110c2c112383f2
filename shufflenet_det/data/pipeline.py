"""Which of MMDetection's transforms our data set replaces by checked or faster ones.

Not in the configs, because MMDetection's inferencer looks there for the stock transforms, and so
that anyone's config gets them.
"""
from collections.abc import Callable

from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.datasets.transforms import (
    Expand,
    MinIoURandomCrop,
    PackDetInputs,
    PhotoMetricDistortion,
)

from .augmentation import FastDistortExpandCrop, FastMinIoURandomCrop
from .transforms import CheckedLoadImageFromFile, FastPackDetInputs

# none adds an argument to those of MMDetection's
_OURS = {
    LoadImageFromFile: CheckedLoadImageFromFile,
    MinIoURandomCrop: FastMinIoURandomCrop,
    PackDetInputs: FastPackDetInputs,
}
_AUGMENTATION = [PhotoMetricDistortion, Expand, FastMinIoURandomCrop]


def replaced(transforms: list[Callable]) -> list[Callable]:
    """``transforms`` with ours in place of MMDetection's own, subclasses of which stay as they are.

    Args:
        transforms: a pipeline, built.
    """
    ours = [_counterpart(step) for step in transforms]
    for at in range(len(ours) - len(_AUGMENTATION) + 1):
        part = ours[at : at + len(_AUGMENTATION)]
        if [type(step) for step in part] == _AUGMENTATION:
            ours[at : at + len(part)] = [FastDistortExpandCrop(*part)]
    return ours


def _counterpart(step: Callable) -> Callable:
    """Ours with the settings of ``step``, or ``step`` itself."""
    kind = _OURS.get(type(step))
    if kind is None:
        return step
    other: BaseTransform = kind.__new__(kind)
    other.__dict__.update(step.__dict__)
    return other
