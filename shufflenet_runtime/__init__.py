"""Exported networks on images, without torch and without MMDetection.

Nothing here imports either: numpy, OpenCV and an engine are all that it needs.
"""

__version__ = '0.1.0'
