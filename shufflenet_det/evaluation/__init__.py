"""Evaluation: the metrics of detection and classification, and their figures as a file."""
from .coco_metric import FIGURES, CheckedCocoMetric
from .top_k_error import TopKError

__all__ = ['FIGURES', 'CheckedCocoMetric', 'TopKError']
