"""Rendered sample data sets in the layouts of COCO and ImageNet: for tests, demos and training
without downloads."""

from .backgrounds import render_background
from .classification import (
    CLASSIFICATION_CLASSES,
    CLASSIFICATION_VERSION,
    make_classification_sample,
)
from .generate import GENERATOR_VERSION, make_sample
from .objects import render_object
from .scenes import render_scene
from .shapes import CATEGORIES, Category
from .views import SURFACES, render_view

__all__ = [
    'CATEGORIES',
    'CLASSIFICATION_CLASSES',
    'CLASSIFICATION_VERSION',
    'GENERATOR_VERSION',
    'SURFACES',
    'Category',
    'make_classification_sample',
    'make_sample',
    'render_background',
    'render_object',
    'render_scene',
    'render_view',
]
