"""Clear words at import where MMDetection is missing, is there twice, or does not fit together."""
import io
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from shufflenet_det.compat import stack, stubs
from shufflenet_det.evaluation.report import versions

import mmcv.ops
import pytest

from ..conftest import ROOT

EXTRAS = ("'shufflenet_det[lite]'", "'shufflenet_det[onedl]'", "'shufflenet_det[openmmlab]'")


def make_site(root: Path, distributions: dict[str, str], packages: dict[str, str]) -> Path:
    """A folder of installed packages: what pip knows of, and what can be imported."""
    for name, version in distributions.items():
        info = root / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    for name, code in packages.items():
        (root / name).mkdir(parents=True)
        (root / name / '__init__.py').write_text(code)
    return root


def isolated(code: str) -> subprocess.CompletedProcess:
    """Run code in a Python that sees the standard library alone."""
    return subprocess.run([sys.executable, '-I', '-S', '-c', code], capture_output=True, text=True)


def error_of_import(site: Path) -> str:
    """What ``import shufflenet_det`` says where nothing but the packages of a site is installed."""
    code = f'import sys; sys.path[:0] = [{str(ROOT)!r}, {str(site)!r}]; import shufflenet_det'
    result = isolated(code)
    assert result.returncode == 1
    assert '\nImportError: ' in result.stderr
    return result.stderr.partition('\nImportError: ')[2]


OPENMMLAB = {'mmdet': '3.3.0', 'mmengine': '0.10.7', 'mmcv-lite': '2.1.0'}
ONEDL = {'onedl-mmdetection': '3.5.1', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6'}
PACKAGES = dict(mmdet='', mmengine='', mmcv='', pkg_resources='')


@pytest.mark.parametrize('missing', sorted(PACKAGES.keys() - {'pkg_resources'}))
def test_package_that_is_missing_is_named_with_the_extras(tmp_path, missing):
    packages = {name: code for name, code in PACKAGES.items() if name != missing}
    said = error_of_import(make_site(tmp_path, {}, packages))
    assert said.startswith(f'{missing} is not installed.')
    assert all(extra in said for extra in EXTRAS)


@pytest.mark.parametrize('own', OPENMMLAB)
def test_two_packages_that_overwrite_each_other(tmp_path, own):
    both = ONEDL | {own: OPENMMLAB[own]}
    said = error_of_import(make_site(tmp_path, both, PACKAGES))
    assert f'{own} {OPENMMLAB[own]} and onedl-' in said
    assert 'are both installed' in said
    uninstall = next(line for line in said.splitlines() if 'pip uninstall -y' in line)
    assert set(uninstall.split()[3:]) == both.keys()
    assert all(extra in said for extra in EXTRAS[:2])
    # each line of the repair can be pasted as it is
    commands = [line for line in said.splitlines() if line.startswith('    ')]
    assert len(commands) == 3
    assert all(line.startswith('    pip ') for line in commands)
    assert [shlex.split(line, comments=True)[2:] for line in commands[1:]] == [
        ['shufflenet_det[lite]'], ['shufflenet_det[onedl]']
    ]  # fmt: skip


def test_package_whose_files_went_with_another_one(tmp_path):
    site = make_site(tmp_path, ONEDL, dict(mmengine='', mmcv=''))
    # data that the other package had brought
    (site / 'mmdet' / '.mim').mkdir(parents=True)
    said = error_of_import(site)
    assert said.startswith('onedl-mmdetection 3.5.1 is installed, but its files are gone')
    assert 'pip uninstall -y onedl-mmengine onedl-mmcv onedl-mmdetection' in said


def test_mmcv_that_mmdet_refuses(tmp_path):
    refusal = "raise AssertionError('MMCV==2.2.0 is used but incompatible.')"
    present = OPENMMLAB | {'mmcv-lite': '2.2.0'}
    said = error_of_import(make_site(tmp_path, present, PACKAGES | dict(mmdet=refusal)))
    assert said.startswith('MMCV==2.2.0 is used but incompatible. Installed are mmengine 0.10.7')
    assert 'mmcv-lite 2.2.0' in said and 'pip uninstall -y mmengine mmcv-lite mmdet' in said


def test_mmengine_without_pkg_resources_is_a_warning(tmp_path):
    packages = {name: code for name, code in PACKAGES.items() if name != 'pkg_resources'}
    site = make_site(tmp_path, OPENMMLAB, packages)
    code = f"""
import sys, types
package = types.ModuleType('shufflenet_det')
package.__path__ = [{str(ROOT / 'shufflenet_det')!r}]
sys.modules['shufflenet_det'] = package
sys.path.insert(0, {str(site)!r})
from shufflenet_det.compat import stack
stack.check()
"""
    result = isolated(code)
    assert result.returncode == 0
    assert "mmengine 0.10.7 needs pkg_resources" in result.stderr
    assert "pip install 'setuptools<82'" in result.stderr


def test_import_prints_nothing():
    result = subprocess.run(
        [sys.executable, '-c', 'import shufflenet_det'], capture_output=True, text=True, check=True
    )
    assert result.stdout == '' and 'faster_coco_eval' not in result.stderr


def test_other_lines_that_an_import_prints_are_kept(tmp_path, monkeypatch, capsys):
    (tmp_path / 'talkative.py').write_text(
        "print('Could not import OneDL. Skipping OneDL datasets.')\nprint('something else')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stack.import_quietly('talkative')
    assert capsys.readouterr().out == 'something else\n'


def test_versions_are_those_of_the_distributions_that_run():
    found = versions()
    names = {name for name in (*OPENMMLAB, *ONEDL, 'mmcv') if name in found}
    installed = {d.metadata['Name'].lower() for d in metadata.distributions()}
    assert names == installed & {*OPENMMLAB, *ONEDL, 'mmcv'}
    assert all(found[name] == metadata.version(name) for name in names)


GUARDED = """
import logging
try:
    from mmcv.ops import RoIPool, batched_nms as nms
except ImportError:
    class RoIPool:
        pass
    nms = None
"""


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A module of MMDetection that was imported while there were no operators."""
    monkeypatch.setitem(sys.modules, 'mmcv.ops', None)
    (tmp_path / 'guarded.py').write_text(GUARDED)
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__('guarded')
    del sys.modules['guarded']
    monkeypatch.setitem(sys.modules, 'mmdet.guarded', module)
    module.__name__ = 'mmdet.guarded'
    monkeypatch.setitem(sys.modules, 'mmcv.ops', mmcv.ops)
    assert module.nms is None
    return module


def test_modules_that_did_without_operators_get_them(guarded, monkeypatch):
    user = type(sys)('mmdet.user')
    user.Taken = guarded.RoIPool
    monkeypatch.setitem(sys.modules, 'mmdet.user', user)
    assert stubs.replace_stubs() == ['mmdet.guarded']
    assert guarded.nms is mmcv.ops.batched_nms
    assert guarded.RoIPool is user.Taken is mmcv.ops.RoIPool
    assert stubs.replace_stubs() == []


def test_class_that_was_derived_from_a_stand_in_is_an_error(guarded):
    class Derived(guarded.RoIPool):
        pass

    with pytest.raises(ImportError, match='Derived was derived.*Import shufflenet_det first'):
        stubs.replace_stubs()


@pytest.mark.parametrize('first', ['mmcv.cnn, mmdet.structures, mmdet.utils', 'mmdet.models'])
def test_package_may_be_imported_after_parts_of_mmdetection(first):
    """No module of MMDetection keeps a stand-in, on either stack."""
    code = f"""
try:
    import {first}
except ImportError:
    # without operators
    assert {first!r} == 'mmdet.models'
import shufflenet_det
import mmdet.models, mmdet.apis
from shufflenet_det.compat import stubs
assert stubs.replace_stubs() == []
"""
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, capture_output=True)


def test_quiet_import_prints_what_was_said_before_a_failure(tmp_path, monkeypatch):
    (tmp_path / 'failing.py').write_text("print('reason')\nraise OSError('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'stdout', io.StringIO())
    with pytest.raises(OSError, match='no'):
        stack.import_quietly('failing')
    assert sys.stdout.getvalue() == 'reason\n'
