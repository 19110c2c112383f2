"""Trained networks as files for engines other than PyTorch."""
from .description import FORMAT, is_exported, read_description
from .engines import ENGINES, FORMATS, Engine, EngineError, engine_named
from .evaluated import ExportedModel, use_exported
from .exporting import export, load_model
from .onnx_file import ExportError

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
