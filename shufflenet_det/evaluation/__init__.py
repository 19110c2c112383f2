"""COCO evaluation: the metric, and its figures as a table and as a file."""
from .coco_metric import FIGURES, CheckedCocoMetric

__all__ = ['FIGURES', 'CheckedCocoMetric']
