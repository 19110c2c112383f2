"""The writers of exported files: for each format of the runtime a module ``<format>_writer``.

Such a module has ``write(source, folder, rewrites, precision, images)``; ``REWRITES``, what it
changes by default for its engine, in order; and ``PACKAGES``, which it needs besides the engine. It
may have ``LOW_REWRITES``, what it changes by precision where that is another, and
``check_precision(precision)``, which raises where it cannot write one that the engine knows.
"""
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from shufflenet_runtime.engines import FORMATS
from shufflenet_runtime.packages import require
from shufflenet_runtime.precision import FLOAT

from .rewrites import Rewrite

_MODULES = {name: import_module(f'.{name}_writer', __package__) for name in FORMATS}
WRITERS: Mapping[str, Callable[..., None]] = {n: m.write for n, m in _MODULES.items()}
"""By format; see :func:`.onnx_writer.write`."""
REWRITES: Mapping[str, Sequence[Rewrite]] = {n: m.REWRITES for n, m in _MODULES.items()}
"""By format, in the order in which they are done."""
PACKAGES = tuple(dict.fromkeys(p for module in _MODULES.values() for p in module.PACKAGES))
"""All packages that writers need besides the engines."""


def rewrites_of(name: str, precision: str) -> Sequence[Rewrite]:
    """What the writer of a format changes by default for a precision."""
    module = _MODULES[name]
    return getattr(module, 'LOW_REWRITES', {}).get(precision, module.REWRITES)


def require_writer(name: str, precision: str = FLOAT) -> None:
    """Import what the writer of a format needs.

    Raises:
        EngineError: the engine or another package is not installed; the engine or the processor
            lacks the precision.
        ConfigError: the writer cannot write it.
    """
    FORMATS[name].require()
    for package in _MODULES[name].PACKAGES:
        require(package, package, f'the extra {name} of shufflenet_det')
    check = getattr(_MODULES[name], 'check_precision', None)
    if check is not None:
        check(precision)
    FORMATS[name].require_precision(precision)
