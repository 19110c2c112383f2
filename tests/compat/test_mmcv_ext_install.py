"""The stand-in for ``mmcv._ext`` in the import system."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import shufflenet_det
import shufflenet_runtime
from shufflenet_det.compat import mmcv_ext

import pytest

if not mmcv_ext.install():
    pytest.skip('compiled mmcv is installed: there is no stand-in to test',
                allow_module_level=True)

# The packages without what their __init__ imports, which is everything.
FOLDERS = {
    package.__name__: str(Path(package.__file__).parent)
    for package in (shufflenet_det, shufflenet_runtime)
}
ALONE = f"""
import sys, types
for name, folder in {FOLDERS}.items():
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package
from shufflenet_det.compat import mmcv_ext
"""


def run(code, *flags):
    result = subprocess.run([sys.executable, *flags, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_install_is_idempotent():
    finders = list(sys.meta_path)
    assert mmcv_ext.install()
    assert sys.meta_path == finders


def test_import_system_knows_the_module():
    module = importlib.import_module('mmcv._ext')
    assert importlib.util.find_spec('mmcv._ext') is module.__spec__
    assert module.__spec__.loader is module.__loader__
    # The calls of mmengine and mmcv that decide whether operators are there.
    from mmcv.utils.ext_loader import check_ops_exist
    from mmengine.utils.dl_utils.misc import mmcv_full_available
    assert pkgutil.find_loader('mmcv._ext') is not None
    assert mmcv_full_available() and check_ops_exist()


def test_compiled_module_is_left_alone(tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').write_text('')
    (tmp_path / 'mmcv/_ext.py').write_text('origin = "compiled"')
    assert run(ALONE + f"""
sys.path.insert(0, {str(tmp_path)!r})
finders = list(sys.meta_path)
print(mmcv_ext.install(), 'mmcv' in sys.modules, sys.meta_path == finders)
import mmcv._ext
print(mmcv._ext.origin, mmcv_ext.install())
""") == ['False', 'False', 'True', 'compiled', 'False']


def test_install_imports_neither_mmcv_nor_torch(tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').write_text('')
    assert run(ALONE + f"""
sys.path.insert(0, {str(tmp_path)!r})
print(mmcv_ext.install(), 'mmcv' in sys.modules, 'torch' in sys.modules)
""") == ['True', 'False', 'False']


def test_missing_mmcv_names_the_remedy():
    assert run(ALONE + """
try:
    mmcv_ext.install()
except ImportError as error:
    print(error.name, 'shufflenet_det[lite]' in str(error), 'torch' in sys.modules)
""", '-I', '-S') == ['mmcv', 'True', 'False']


def test_operators_import_after_a_failed_attempt(tmp_path, monkeypatch):
    # A package that asks for an operator as mmcv does; importing mmcv's own twice in a process
    # is not possible, for it would register everything twice.
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').write_text('')
    (tmp_path / 'mmcv/ops.py').write_text(
        'import importlib\next_module = importlib.import_module("mmcv._ext")')
    for name in list(sys.modules):
        if name.partition('.')[0] == 'mmcv':
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', [finder for finder in sys.meta_path
                                           if type(finder).__module__ != mmcv_ext.__name__])
    try:
        with pytest.raises(ModuleNotFoundError, match='mmcv._ext'):
            importlib.import_module('mmcv.ops')
        assert mmcv_ext.install()
        ext = importlib.import_module('mmcv.ops').ext_module
        assert ext.nms.__module__.startswith(mmcv_ext.__name__)
    finally:
        for name in ('mmcv', 'mmcv.ops', 'mmcv._ext'):
            sys.modules.pop(name, None)


def test_no_file_is_written_into_mmcv():
    import mmcv
    folder = Path(mmcv.__file__).parent
    (name,) = set(importlib.metadata.packages_distributions()['mmcv'])
    shipped = {file.locate().resolve() for file in importlib.metadata.files(name)}
    assert {path for path in folder.resolve().rglob('*')
            if path.is_file() and path.suffix != '.pyc'} <= shipped


def test_unsupported_operator_says_what_to_do():
    import torch
    from mmcv.ops import box_iou_rotated
    boxes = torch.tensor([[5., 5., 4., 2., 0.]])
    remedy = 'https://mmcv.readthedocs.io/en/latest/get_started/installation.html'
    with pytest.raises(mmcv_ext.UnsupportedOperatorError, match=f'box_iou_rotated.*{remedy}'):
        box_iou_rotated(boxes, boxes)


def test_operators_written_in_python_work():
    import torch
    from mmcv.ops import CornerPool
    row = torch.tensor([[[[1., 3., 2.]]]])
    assert CornerPool('left')(row).tolist() == [[[[3., 3., 2.]]]]


def test_module_behaves_like_a_module():
    ext = importlib.import_module('mmcv._ext')
    assert not hasattr(ext, '__path__') and not hasattr(ext, '__wrapped__')
    assert ext.sync_bn_forward_mean is ext.sync_bn_forward_mean
    assert pickle.loads(pickle.dumps(ext.nms)) is ext.nms
    assert inspect.unwrap(ext.nms) is ext.nms
    assert all(name.startswith('__') or callable(value) for name, value in inspect.getmembers(ext))
    names = {}
    exec('from mmcv._ext import *', names)
    assert {'nms', 'roi_align_forward', 'modulated_deform_conv_backward'} <= names.keys()
    assert 'box_iou_rotated' not in names and all(map(callable, map(names.get, ext.__all__)))


def test_versions_do_not_claim_a_compiler():
    import torch
    from mmcv.ops import get_compiler_version, get_compiling_cuda_version
    assert get_compiler_version() == f'not compiled: torch {torch.__version__} stand-in'
    assert get_compiling_cuda_version().startswith('not compiled')
