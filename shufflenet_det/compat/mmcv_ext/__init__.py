"""``mmcv._ext`` without a compiler: mmcv's operators on torch and torchvision.

``mmcv-lite`` ships every Python file of ``mmcv.ops`` but not the compiled module ``mmcv._ext``
under them, so ``import mmcv.ops`` fails, and with it most of MMDetection. :func:`install` lets
the import system answer for that one missing name. Nothing is written into other packages, and
a compiled ``mmcv._ext`` always wins.

The stand-ins follow the kernels of mmcv 2.1.0 (``mmcv/ops/csrc``) on CPU and CUDA, gradients
included. Operators that MMDetection's models do not reach can be imported, but calling one
raises :class:`UnsupportedOperatorError`.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any, NoReturn

from ...common.errors import ShuffleNetDetError

__all__ = ['UnsupportedOperatorError', 'install']

_TARGET = 'mmcv._ext'
_MMCV_INSTALL_URL = 'https://mmcv.readthedocs.io/en/latest/get_started/installation.html'
_OPERATOR_MODULES = ('attention', 'boxes', 'carafe', 'deform', 'deform_roi_pool', 'focal',
                     'info', 'masked', 'nms', 'roi_align', 'roi_pool')


class UnsupportedOperatorError(ShuffleNetDetError, NotImplementedError):
    """An mmcv operator was called that has no stand-in and needs compiled mmcv."""


def _unsupported(name: str) -> Callable[..., NoReturn]:
    def operator(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedOperatorError(
            f"mmcv's operator '{name}' is not available: this environment has no compiled mmcv, "
            "and shufflenet_det has no stand-in for it. Install compiled mmcv to use it: "
            f"{_MMCV_INSTALL_URL}")

    operator.__name__ = operator.__qualname__ = name
    return operator


class _ExtFinder(MetaPathFinder, Loader):
    """Finds and loads the stand-in for ``mmcv._ext``, and nothing else."""

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != _TARGET:
            return None
        return spec_from_loader(fullname, self, origin=__name__)

    def exec_module(self, module: ModuleType) -> None:
        operators: dict[str, Callable[..., Any]] = {}
        for name in _OPERATOR_MODULES:
            operators.update(importlib.import_module(f'{__name__}.{name}').OPERATORS)

        def __getattr__(name: str) -> Callable[..., NoReturn]:
            # mmcv.ops checks with hasattr for every operator it wraps. Names with a leading
            # underscore stay absent: copy, inspect and pickle ask for those on any object.
            if name.startswith('_'):
                raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")
            operator = _unsupported(name)
            setattr(module, name, operator)
            return operator

        module.__doc__ = f"Stand-in for mmcv's compiled operators, made by {__name__}."
        vars(module).update(operators, __all__=sorted(operators), __getattr__=__getattr__)


def needed() -> bool:
    """Whether mmcv's compiled module is missing. Neither mmcv nor torch is imported.

    Raises:
        ImportError: mmcv is not installed at all.
    """
    mmcv = find_spec('mmcv')
    if mmcv is None or mmcv.submodule_search_locations is None:
        raise ImportError(
            "mmcv is not installed. 'pip install shufflenet_det[lite]' brings mmcv-lite, which "
            "needs no compiler (shufflenet_det supplies the operators); compiled mmcv works too: "
            f"{_MMCV_INSTALL_URL}", name='mmcv')
    loaded = sys.modules.get(_TARGET)
    if loaded is not None:
        return type(loaded.__loader__).__module__ == __name__
    return PathFinder.find_spec(_TARGET, mmcv.submodule_search_locations) is None


def install() -> bool:
    """Provide ``mmcv._ext`` unless mmcv's compiled module is there.

    Call it before anything imports ``mmcv.ops``; if that import was tried and failed earlier, it
    works afterwards. Neither mmcv nor torch is imported here, and further calls change nothing.

    Returns:
        True if ``mmcv._ext`` is the stand-in, False if it is mmcv's own compiled module.

    Raises:
        ImportError: mmcv is not installed at all.
    """
    if any(_is_ours(finder) for finder in sys.meta_path):
        return True
    if not needed():
        return False
    # Last in line, so that any other provider of the module is asked before this one.
    sys.meta_path.append(_ExtFinder())
    return True


def _is_ours(finder: object) -> bool:
    # by name: of an earlier import of this package, too
    kind = type(finder)
    return (kind.__module__, kind.__qualname__) == (__name__, _ExtFinder.__qualname__)
