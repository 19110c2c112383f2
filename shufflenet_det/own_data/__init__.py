"""One's own images and annotations, checked and made ready for training: docs/own-data.md."""
from .preparation import Prepared, prepare

__all__ = ['Prepared', 'prepare']
