"""Harmless stand-ins for the globals that checkpoints of mmengine need beyond torch's own.

``torch.load(weights_only=True)`` builds only what is on its allow-list, and calls whatever is on
it with arguments that the file chooses. mmengine's checkpoints hold ``HistoryBuffer`` objects
(pickled with ``builtins.getattr`` for four of its methods), numpy arrays and numpy scalars. None
of the real ones may be listed:

* ``getattr``: torch's always-allowed ``_rebuild_from_type_v2`` calls any object on the stack, so
  that a chain of attributes ends at ``eval``.
* ``HistoryBuffer``: its ``__setstate__`` writes every key of the file into the object,
  ``__setstate__`` included, which the next BUILD instruction calls.
* ``numpy.ndarray`` and ``numpy.dtype``: their ``__setstate__`` is C code that trusts its input; a
  second state frees memory that a tensor may share, and object arrays hold pickled objects.

Each stand-in takes the same name in the file, accepts exactly what mmengine and numpy write, and
refuses the rest with :class:`UnsafeCheckpointError`.
"""
import math
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .checkpoint_errors import UnsafeCheckpointError

NUMERIC_TYPES = frozenset(
    ['b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16'])
# Each HistoryBuffer is saved with these; they are methods of the class, not data of the file.
STATISTICS = frozenset(['min', 'max', 'current', 'mean'])
HISTORY_FIELDS = frozenset(['max_length', '_log_history', '_count_history'])

_stand_ins: dict[str, Callable] = {}


def _refuse(what: str) -> NoReturn:
    raise UnsafeCheckpointError(what)


def _stands_in_for(module: str, name: str) -> Callable[[Callable], Callable]:
    """Give a function or class the name under which torch looks it up.

    torch 2.4 and 2.5 know no other way to register a global under a chosen name than the
    attributes of the object itself.
    """
    def register(obj: Callable) -> Callable:
        obj.__module__, obj.__name__, obj.__qualname__ = module, name, name
        _stand_ins[f'{module}.{name}'] = obj
        return obj
    return register


@_stands_in_for('mmengine.logging.history_buffer', 'HistoryBuffer')
class _CheckedHistoryBuffer(HistoryBuffer):
    """A ``HistoryBuffer`` that takes its three data fields from the file, once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse('a HistoryBuffer that is called instead of restored')

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict or not set(state) >= HISTORY_FIELDS:
            _refuse('a HistoryBuffer whose state is not that of mmengine')
        # `statistics_methods` holds the class's own methods: those of this process are used
        extra = set(state) - HISTORY_FIELDS - {'statistics_methods'}
        if extra:
            _refuse(f'a HistoryBuffer with the field {sorted(map(str, extra))[0]!r}')
        histories = [state['_log_history'], state['_count_history']]
        for history in histories:
            if not (isinstance(history, np.ndarray) and history.ndim == 1
                    and history.dtype.kind in 'biuf'):
                _refuse('a HistoryBuffer whose history is not a row of numbers')
        if len(histories[0]) != len(histories[1]):
            _refuse('a HistoryBuffer whose histories differ in length')
        if type(state['max_length']) is not int or state['max_length'] < 1:
            _refuse('a HistoryBuffer whose max_length is not a positive integer')
        self.max_length = state['max_length']
        self._log_history, self._count_history = map(np.array, histories)
        self._set_default_statistics()
        # From here on it is mmengine's own class, which is not on torch's list: a second state
        # in the file is refused there, and the next checkpoint names no class of ours.
        self.__class__ = HistoryBuffer


@_stands_in_for('builtins', 'getattr')
def _attribute(obj: Any, name: Any) -> None:
    """Stand in for ``getattr(HistoryBuffer, 'min')`` and its three siblings, and nothing else."""
    if obj is not _CheckedHistoryBuffer or type(name) is not str or name not in STATISTICS:
        _refuse(f'builtins.getattr of {name!r}')


@_stands_in_for('builtins', 'bytes')
def _empty_bytes(*args: Any) -> bytes:
    """Stand in for ``bytes()``, which is how protocol 2 writes the data of an empty array."""
    if args:
        _refuse('builtins.bytes with an argument')
    return b''


@_stands_in_for('_codecs', 'encode')
def _latin1_bytes(text: Any, encoding: Any) -> bytes:
    """Stand in for how protocol 2 writes bytes. torch 2.5 and newer bring the real one."""
    if type(text) is not str or encoding != 'latin1':
        _refuse(f'_codecs.encode with {encoding!r}')
    return text.encode('latin1')


@_stands_in_for('builtins', 'set')
def _set(*items: Any) -> set:
    """Stand in for ``set``. torch 2.5 and newer bring the real one."""
    return set(*items)


@_stands_in_for('mmengine.config.config', 'ConfigDict')
def _plain_dict(*args: Any) -> dict:
    """Stand in for a ``ConfigDict`` (as in ``metainfo`` of a config) with a plain dict."""
    if len(args) != 1 or type(args[0]) is not dict:
        _refuse('a ConfigDict that is not made of one dict')
    return dict(args[0])


@_stands_in_for('numpy', 'dtype')
class _CheckedDtype:
    """A numeric ``numpy.dtype`` as an array or scalar of the file describes it."""

    __slots__ = ('byteorder', 'code')

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if type(code) is not str or code not in NUMERIC_TYPES:
            _refuse(f'numpy data of the type {code!r}')
        self.code = code
        self.byteorder = '='

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags)
        if (type(state) is not tuple or len(state) != 8 or state[0] != 3
                or state[2:] != (None, None, None, -1, -1, 0)
                or state[1] not in ('<', '>', '|', '=')):
            _refuse('numpy data of a structured type')
        self.byteorder = state[1]

    def numpy(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.byteorder)


@_stands_in_for('numpy', 'ndarray')
class _CheckedArray(np.ndarray):
    """A numeric array of the file.

    A class of ours, because BUILD calls the state setter of the object's class. It behaves and
    pickles as the ``numpy.ndarray`` that it is.
    """

    _filled = False

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse('a numpy array that is called instead of restored')

    def __setstate__(self, state: Any) -> None:
        if self._filled:
            _refuse('a numpy array with two states')
        if type(state) is not tuple or len(state) != 5 or state[0] != 1:
            _refuse('a numpy array of unknown layout')
        _, shape, dtype, is_fortran, raw = state
        if type(dtype) is not _CheckedDtype:
            _refuse('a numpy array without a numeric type')
        if (type(shape) is not tuple or any(type(n) is not int or n < 0 for n in shape)
                or type(is_fortran) is not bool or type(raw) is not bytes
                or math.prod(shape) * dtype.numpy().itemsize != len(raw)):
            _refuse('a numpy array whose data does not fill its shape')
        super().__setstate__((1, shape, dtype.numpy(), is_fortran, raw))
        self._filled = True

    def __reduce_ex__(self, protocol: int) -> Any:
        return self.view(np.ndarray).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict) -> np.ndarray:
        return np.array(self)


def _empty_array(cls: Any, shape: Any, code: Any) -> np.ndarray:
    """Stand in for numpy's ``_reconstruct``, which builds an instance of any class."""
    if cls is not _CheckedArray or shape != (0,) or code != b'b':
        _refuse(f'numpy._reconstruct of {getattr(cls, "__qualname__", cls)}')
    return np.ndarray.__new__(_CheckedArray, (0,), 'i1')


def _scalar(dtype: Any, raw: Any) -> np.generic:
    """Stand in for numpy's ``scalar``, which unpickles its argument for the type object."""
    if type(dtype) is not _CheckedDtype or type(raw) is not bytes:
        _refuse('a numpy scalar without a numeric type')
    if len(raw) != dtype.numpy().itemsize:
        _refuse('a numpy scalar whose data does not fill its type')
    return np.frombuffer(raw, dtype.numpy())[0]


def _under_many_names(function: Callable, modules: tuple[str, ...], name: str) -> None:
    """Register copies of a function, since one object can carry one name only."""
    for module in modules:
        def copy(*args: Any, _function: Callable = function) -> Any:
            return _function(*args)
        _stands_in_for(module, name)(copy)


# numpy 2 moved its internals
_under_many_names(_empty_array, ('numpy.core.multiarray', 'numpy._core.multiarray'),
                  '_reconstruct')
_under_many_names(_scalar, ('numpy.core.multiarray', 'numpy._core.multiarray'), 'scalar')


def _global_name(entry: Any) -> str:
    """The name under which torch finds an entry of its allow-list."""
    if isinstance(entry, tuple):
        return entry[1]
    return f'{entry.__module__}.{getattr(entry, "__qualname__", entry.__name__)}'


def allow_stand_ins() -> None:
    """Put the stand-ins on torch's allow-list, in place of real ones that are there.

    The list is process-wide on purpose: tools of MMDetection and of users (``publish_model``)
    call ``torch.load`` bare, and all that they gain are stand-ins that cannot run code. The real
    ``getattr`` or ``HistoryBuffer``, which recipes on the web add to the list, are taken off it,
    because with them on the list a crafted file runs code.
    """
    present = list(torch.serialization.get_safe_globals())
    ours = set(map(id, _stand_ins.values()))
    replaced = [g for g in present if id(g) not in ours and _global_name(g) in _stand_ins]
    if replaced:
        warnings.warn(
            'taken off the allow-list of torch.load, because a crafted checkpoint can misuse them: '
            + ', '.join(sorted(map(_global_name, replaced)))
            + ' (shufflenet_det provides harmless ones for checkpoints of mmengine)', stacklevel=2)
        torch.serialization.clear_safe_globals()
        present = [g for g in present if all(g is not r for r in replaced)]
        torch.serialization.add_safe_globals(present)
    known = set(map(id, present))
    missing = [s for s in _stand_ins.values() if id(s) not in known]
    if missing:
        torch.serialization.add_safe_globals(missing)
