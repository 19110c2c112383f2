"""Trained networks as files for engines other than PyTorch."""
from shufflenet_runtime.description import FORMAT, is_exported, read_description
from shufflenet_runtime.engine import Engine
from shufflenet_runtime.engines import ENGINES, FORMATS, engine_named
from shufflenet_runtime.errors import EngineError

from .errors import ExportError
from .evaluated import ExportedModel, use_exported
from .exporting import export, load_model

__all__ = [
    'ExportedModel',
    'ENGINES',
    'FORMAT',
    'FORMATS',
    'Engine',
    'EngineError',
    'ExportError',
    'engine_named',
    'export',
    'is_exported',
    'load_model',
    'read_description',
    'use_exported',
]
