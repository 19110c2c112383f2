"""ShuffleNet v1 for MMDetection.

Importing the package registers its backbones, data sets and metrics with MMDetection, and makes
the changes to other libraries that :mod:`shufflenet_det.compat.changes` lists, where they are
needed. In a config:
``custom_imports = dict(imports=['shufflenet_det'], allow_failed_imports=False)``.
"""
from .runtime_files import provide_runtime

provide_runtime()

from .compat import changes  # noqa: E402

# before everything else: MMDetection imports mmcv's operators as soon as it is imported
changes.make('mmcv_ext')

from . import data, engine, evaluation, models, weights  # noqa: E402
from .version import __version__  # noqa: E402

changes.make()
weights.install()

__all__ = ['__version__', 'data', 'engine', 'evaluation', 'models', 'swap_backbone', 'weights']


def __getattr__(name: str) -> object:
    if name == 'swap_backbone':
        from .swap import swap_backbone

        return swap_backbone
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
