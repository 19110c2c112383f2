"""ShuffleNet v1 for MMDetection.

Importing the package registers its backbones, data sets and metrics with MMDetection, and makes
the changes to other libraries that :mod:`shufflenet_det.compat.changes` lists, where they are
needed. In a config:
``custom_imports = dict(imports=['shufflenet_det'], allow_failed_imports=False)``.
"""
from .compat import stack
from .runtime_files import provide_runtime

stack.check()
provide_runtime()

from .compat import changes, stubs  # noqa: E402

# before everything else: MMDetection imports mmcv's operators as soon as it is imported
if 'mmcv_ext' in changes.make('mmcv_ext'):
    stubs.replace_stubs()
stack.import_quietly('mmdet.datasets', 'mmdet.evaluation')

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
