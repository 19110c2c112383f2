"""Data sets and transforms, registered with MMDetection; :mod:`.sample` renders sample data."""
from .classification import FastRandomCrop, FastRandomResizedCrop, ResizeCenterCrop
from .coco import CheckedCOCO, CheckedCocoDataset
from .decode import decode_rgb
from .imagenet import ImageFolderDataset, ImageNetDataset
from .sample_dataset import SampleDataset
from .sampler import EpochSampler
from .transforms import CheckedLoadImageFromFile, FastPackDetInputs

__all__ = [
    'CheckedCOCO',
    'CheckedCocoDataset',
    'CheckedLoadImageFromFile',
    'EpochSampler',
    'FastPackDetInputs',
    'FastRandomCrop',
    'FastRandomResizedCrop',
    'ImageFolderDataset',
    'ImageNetDataset',
    'ResizeCenterCrop',
    'SampleDataset',
    'decode_rgb',
]
