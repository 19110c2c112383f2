"""A crafted checkpoint is refused by name, and nothing in it runs."""
import contextlib
import functools
import http.server
import pickle
import threading
import warnings

from shufflenet_det.compat import checkpoint
from shufflenet_det.compat.checkpoint import CheckpointError, UnsafeCheckpointError
from shufflenet_det.weights import public

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from .checkpoint_payloads import RUNNING, SMUGGLING, evaluate, touch, write, write_legacy, write_tar

checkpoint.install()


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'it_ran'


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'crafted.pth'


class Model(BaseModule):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.linear = nn.Linear(2, 2)


def refused(marker, function, *args):
    with pytest.raises(UnsafeCheckpointError) as info:
        function(*args)
    assert not marker.exists()
    return str(info.value)


@pytest.mark.parametrize('name', RUNNING)
def test_code_does_not_run(name, path, marker):
    write(path, RUNNING[name](marker))
    message = refused(marker, load_checkpoint, Model(), str(path))
    assert str(path) in message and 'sandbox' in message
    with pytest.raises((pickle.UnpicklingError, UnsafeCheckpointError)):
        torch.load(path, weights_only=True)
    assert not marker.exists()


@pytest.mark.parametrize('name', RUNNING)
def test_payloads_are_armed(name, path, marker, monkeypatch):
    """Otherwise the test above would prove nothing."""
    monkeypatch.setattr(HistoryBuffer, '_statistics_methods', {})  # one payload writes into it
    write(path, RUNNING[name](marker))
    with contextlib.suppress(Exception):  # what is left once it has run need not be readable
        torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize('name', SMUGGLING)
def test_objects_are_not_smuggled_in(name, path):
    write(path, {'state_dict': {}, 'message_hub': SMUGGLING[name]()}
          if not name.endswith(('two states', 'state setter')) else SMUGGLING[name]())
    with pytest.raises(UnsafeCheckpointError, match='is refused'):
        load_checkpoint(Model(), str(path))
    with pytest.raises((pickle.UnpicklingError, UnsafeCheckpointError)):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize('name, named', [
    ('os.system', 'posix.system'), ('eval', 'eval`'), ('functools.partial', 'functools.partial'),
    ('always allowed call', "getattr of 'update'"), ('eval in an object array', "'O8'"),
])
def test_the_message_names_what_was_refused(name, named, path, marker):
    write(path, RUNNING[name](marker))
    assert named in refused(marker, checkpoint.read_checkpoint, path)


def test_other_formats_of_torch(path, marker):
    write_legacy(path, evaluate(marker))
    assert 'eval`' in refused(marker, load_checkpoint, Model(), str(path))
    for first in ('sys_info', '\udc80'):  # a name that begins like a pickle does
        write_tar(path, evaluate(marker), first)
        assert 'tar archive' in refused(marker, load_checkpoint, Model(), str(path))


def test_other_pickle_protocols(path, marker):
    write(path, pickle.dumps(evaluate(marker), protocol=4))
    refused(marker, load_checkpoint, Model(), str(path))
    path.write_bytes(pickle.dumps(evaluate(marker), protocol=0))
    with pytest.raises(CheckpointError, match='text file'):
        load_checkpoint(Model(), str(path))
    assert not marker.exists()


def test_torchscript_archive(path):
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    with pytest.raises(UnsafeCheckpointError, match='TorchScript archive'):
        load_checkpoint(Model(), str(path))


def test_pretrained_init(path, marker):
    write(path, evaluate(marker))
    for prefix in (None, 'backbone.'):
        model = Model(dict(type='Pretrained', checkpoint=str(path), prefix=prefix))
        assert 'eval`' in refused(marker, model.init_weights)


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(QuietHandler, directory=str(tmp_path / 'served'))
    (tmp_path / 'served').mkdir()
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):

    def log_message(self, *args):
        """Keep the test's output clean."""


@pytest.mark.filterwarnings('ignore:unclosed')
def test_url(server, tmp_path, marker, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    write(tmp_path / 'served/bad.pth', evaluate(marker))
    kept = tmp_path / 'home/hub/checkpoints/bad.pth'
    for _ in range(2):  # downloaded, then from the file that is kept
        message = refused(marker, load_checkpoint, Model(), f'{server}/bad.pth')
        assert 'eval`' in message and f'{server}/bad.pth' in message and str(kept) in message
        assert kept.exists()
    torch.save({'state_dict': Model().state_dict()}, tmp_path / 'served/good.pth')
    assert 'state_dict' in load_checkpoint(Model(), f'{server}/good.pth')
    with pytest.raises(CheckpointError, match='can not be downloaded.*404.*init_cfg=None'):
        load_checkpoint(Model(), f'{server}/absent.pth')


def test_names_of_model_zoos_are_weights_only(server, tmp_path, marker, monkeypatch):
    from mmengine.runner import checkpoint as mmengine_checkpoint
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    write(tmp_path / 'served/bad.pth', evaluate(marker))
    write(tmp_path / 'bad.pth', evaluate(marker))
    url = f'{server}/bad.pth'
    for function, models in [('get_torchvision_models', {'net': url}),
                             ('get_external_models', {'net': url, 'local': 'bad.pth'}),
                             ('get_mmcls_models', {'net': url})]:
        monkeypatch.setattr(mmengine_checkpoint, function, lambda models=models: models)
    for name in ('torchvision://net', 'modelzoo://net', 'open-mmlab://net', 'openmmlab://net',
                 'open-mmlab://local', 'mmcls://net'):
        assert 'eval`' in refused(marker, CheckpointLoader.load_checkpoint, name)


def test_object_store_is_weights_only(path, marker, monkeypatch):
    write(path, evaluate(marker))

    class Store:

        def get(self, _name):
            return path.read_bytes()

    monkeypatch.setattr(checkpoint, 'get_file_backend', lambda *args, **kwargs: Store())
    assert 'eval`' in refused(marker, CheckpointLoader.load_checkpoint, 's3://bucket/x.pth')


def test_every_scheme_of_mmengine_is_replaced():
    loaders = CheckpointLoader._schemes.values()
    ours = {checkpoint.__name__, public.__name__}
    assert {loader.__module__ for loader in loaders} == ours


def test_real_ones_are_taken_off_the_list(path):
    """Recipes on the web list them, and then a crafted file runs code."""
    real = [getattr, HistoryBuffer]
    torch.serialization.add_safe_globals([*real, Model])
    write(path, {'state_dict': {}, 'x': SMUGGLING['HistoryBuffer.__globals__']()})
    with pytest.warns(UserWarning, match='builtins.getattr'), \
            pytest.raises(UnsafeCheckpointError):
        checkpoint.read_checkpoint(path)
    present = torch.serialization.get_safe_globals()
    assert Model in present and not any(g is r for g in present for r in real)


def test_installing_twice_and_a_cleared_list(path):
    from mmengine.runner import checkpoint as mmengine_checkpoint
    loading, before = mmengine_checkpoint.load_state_dict, torch.serialization.get_safe_globals()
    checkpoint.install()
    assert mmengine_checkpoint.load_state_dict is loading
    assert set(torch.serialization.get_safe_globals()) == set(before)
    torch.serialization.clear_safe_globals()
    try:
        torch.save({'state_dict': {}, 'x': HistoryBuffer([1.0], [1])}, path)
        assert checkpoint.read_checkpoint(path)['x'].mean() == 1
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.serialization.add_safe_globals(list(before))


def test_the_config_in_a_checkpoint_is_not_run(path, marker):
    from mmengine.infer.infer import BaseInferencer
    code = f'model = dict(type="x"); {touch(marker)}'
    torch.save({'state_dict': {}, 'meta': {'cfg': code, 'config': code}}, path)
    meta = checkpoint.read_checkpoint(path)['meta']
    # Runner.resume executes meta['config'] where there is one
    assert meta == {'cfg': code, 'config_text': code}
    assert 'config' in refused(marker, BaseInferencer._init_model, None, None, str(path))
