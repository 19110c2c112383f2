"""The engines that run exported networks.

Nothing here needs torch or MMDetection: an engine, numpy and a folder that
:mod:`.description` describes.
"""
from collections.abc import Mapping

from .engine import Engine
from .errors import ConfigError
from .ncnn_engine import Ncnn
from .onnxruntime_engine import OnnxRuntime
from .openvino_engine import OpenVino

ENGINES: Mapping[str, Engine] = {e.name: e for e in (OnnxRuntime(), OpenVino(), Ncnn())}
"""By name; of those that are installed and that a network was exported for, the first runs it."""
FORMATS: Mapping[str, Engine] = {engine.format: engine for engine in ENGINES.values()}


def engine_named(name: str) -> Engine:
    """An engine by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in ENGINES:
        raise ConfigError(f'unknown engine {name!r}: there are {", ".join(ENGINES)}.')
    return ENGINES[name]
