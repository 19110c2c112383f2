"""Exported networks on images, without torch and without MMDetection.

Nothing here imports either: numpy, OpenCV and an engine are all that it needs. ::

    from shufflenet_runtime import Detector

    detector = Detector('exported')
    for name, score, box in detector('street.jpg'):
        print(name, score, box)
"""
from .classifier import Classification, Classifier
from .detector import Detections, Detector
from .errors import ConfigError, DataError, EngineError, ShuffleNetDetError

__version__ = '0.1.0'

__all__ = [
    'Classification',
    'Classifier',
    'ConfigError',
    'DataError',
    'Detections',
    'Detector',
    'EngineError',
    'ShuffleNetDetError',
    '__version__',
]
