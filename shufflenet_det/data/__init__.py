"""Data sets and transforms, registered with MMDetection; :mod:`.sample` renders sample data."""
from .coco import CheckedCOCO, CheckedCocoDataset
from .sample_dataset import SampleDataset
from .transforms import CheckedLoadImageFromFile

__all__ = ['CheckedCOCO', 'CheckedCocoDataset', 'CheckedLoadImageFromFile', 'SampleDataset']
