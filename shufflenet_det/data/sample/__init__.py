"""A rendered sample data set in COCO's layout: for tests, demos and training without downloads."""

from .backgrounds import render_background
from .generate import GENERATOR_VERSION, make_sample
from .objects import render_object
from .scenes import render_scene
from .shapes import CATEGORIES, Category

__all__ = [
    'CATEGORIES',
    'GENERATOR_VERSION',
    'Category',
    'make_sample',
    'render_background',
    'render_object',
    'render_scene',
]
