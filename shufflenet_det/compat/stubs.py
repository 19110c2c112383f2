"""What was imported before mmcv's operators were there, and did without.

OneDL's MMDetection guards its imports of operators: a module that is imported first keeps a class
or function in their place that raises when it is called, and keeps it though the operators come
later. mmcv's ``cnn.bricks.transformer`` does the same. MMDetection's own tools import such
modules before they read a config, and with it the plugin.
"""
import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def replace_stubs() -> list[str]:
    """Give modules that are imported already the operators that they asked for.

    Returns:
        Names of the modules that lacked some.

    Raises:
        ImportError: a class was derived from a stand-in, which cannot be undone.
    """
    changed = []
    # by identity; the stand-ins are kept beside, so that no other object gets their identity
    replaced: dict[int, tuple[Any, Any]] = {}
    for module in (*_loaded('mmcv.cnn'), *_loaded('mmdet')):
        for source, name, target in _guarded_imports(module):
            operator = getattr(importlib.import_module(source), name, None)
            stub = vars(module).get(target)
            if operator is None or stub is operator:
                continue
            if isinstance(stub, type) and stub.__subclasses__():
                raise ImportError(
                    f'{module.__name__} was imported before shufflenet_det, without the operator '
                    f'{name} of mmcv, and {stub.__subclasses__()[0].__qualname__} was derived from '
                    'what stands in its place. Import shufflenet_det first, in a new process.',
                    name=module.__name__,
                )
            setattr(module, target, operator)
            changed.append(module.__name__)
            replaced[id(stub)] = stub, operator
    # names that other modules took over
    for module in _loaded('mmdet'):
        for name, value in list(vars(module).items()):
            if id(value) in replaced and value is not None:
                setattr(module, name, replaced[id(value)][1])
    return sorted(set(changed))


def _loaded(package: str) -> list[ModuleType]:
    """Modules of a package that are imported already, in the order of their import."""
    return [module for name, module in list(sys.modules.items())
            if name.startswith(f'{package}.') and isinstance(module, ModuleType)]  # fmt: skip


def _guarded_imports(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """Module, name and local name of each import from ``mmcv.ops`` inside of a ``try``."""
    path = getattr(module, '__file__', None)
    if not path or not path.endswith('.py'):
        return
    text = Path(path).read_text(encoding='utf-8')
    if 'mmcv' not in text or 'except' not in text:
        return
    for guard in ast.parse(text).body:
        for node in guard.body if isinstance(guard, ast.Try) else ():
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith(
                ('mmcv.ops', 'mmcv.cnn.bricks.transformer')
            ):
                for alias in node.names:
                    yield node.module, alias.name, alias.asname or alias.name
