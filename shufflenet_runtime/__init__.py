"""Exported networks on images, without torch and without MMDetection.

Nothing here imports either: numpy, OpenCV and an engine are all that it needs. ::

    from shufflenet_runtime import Detector

    detector = Detector('exported')
    for name, score, box in detector('street.jpg'):
        print(name, score, box)
"""
from importlib import import_module

from .errors import ConfigError, DataError, EngineError, UserError

__version__ = '0.1.0'

# loaded when they are first asked for, and with them OpenCV and what opens engines: whoever wants
# the errors alone need not have it
_LAZY = {
    'Classification': 'classifier',
    'Classifier': 'classifier',
    'Detections': 'detector',
    'Detector': 'detector',
}

__all__ = [
    'Classification',
    'Classifier',
    'ConfigError',
    'DataError',
    'Detections',
    'Detector',
    'EngineError',
    'UserError',
    '__version__',
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(f'.{_LAZY[name]}', __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
