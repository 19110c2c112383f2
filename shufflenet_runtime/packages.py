"""Packages that only some of the work needs."""
import importlib
from types import ModuleType

from .errors import EngineError


def require(module: str, package: str, extras: str) -> ModuleType:
    """Import a module.

    Args:
        module: its name.
        package: name of the package that brings it.
        extras: which extras bring it, for the message.

    Raises:
        EngineError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            f'{module} cannot be imported ({error}): install it with `pip install {package}`; it '
            f'is in {extras}.'
        ) from None
