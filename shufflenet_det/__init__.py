"""ShuffleNet v1 for MMDetection.

Importing the package registers its backbones, data sets and metrics with MMDetection, provides
``mmcv._ext`` where compiled mmcv is missing, and makes checkpoint loading safe and the search for
MMDetection's configs quick. In a config:
``custom_imports = dict(imports=['shufflenet_det'], allow_failed_imports=False)``.
"""
from .compat import stack

stack.check()

from .compat import mmcv_ext, stubs  # noqa: E402

# before everything else: MMDetection imports mmcv's operators as soon as it is imported
if mmcv_ext.install():
    stubs.replace_stubs()
stack.import_quietly('mmdet.datasets', 'mmdet.evaluation')

from .compat import checkpoint, config_index, mmdet_models  # noqa: E402

checkpoint.install()
config_index.install()
mmdet_models.install()

from . import data, engine, evaluation, models, weights  # noqa: E402
from .swap import swap_backbone  # noqa: E402
from .version import __version__  # noqa: E402

weights.install()

__all__ = ['__version__', 'data', 'engine', 'evaluation', 'models', 'swap_backbone', 'weights']
