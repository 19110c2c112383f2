"""The rendered sample data as a data set of MMDetection."""
from mmdet.registry import DATASETS

from .coco import CheckedCocoDataset
from .sample import CATEGORIES


@DATASETS.register_module()
class SampleDataset(CheckedCocoDataset):
    """COCO-format data set with the classes of :mod:`shufflenet_det.data.sample`."""

    METAINFO = dict(classes=tuple(category.name for category in CATEGORIES))
