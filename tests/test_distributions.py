"""The two distributions: which files are whose, and that each stands without the other."""
import ast
import configparser
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT

# without MMDetection, which takes seconds: the package as its __init__ begins
PACKAGE = """
import sys, types
package = types.ModuleType('shufflenet_det')
package.__path__ = [next(f'{p}/shufflenet_det' for p in sys.path if p.endswith('site-packages'))]
sys.modules['shufflenet_det'] = package
from shufflenet_det.runtime_files import provide_runtime
provide_runtime()
from shufflenet_det.common.errors import ConfigError
import shufflenet_runtime
print(shufflenet_runtime.__file__)
"""
RUNTIME = 'import shufflenet_runtime; print(shufflenet_runtime.__file__)'


def pip(*arguments: str | Path, python: Path | None = None) -> None:
    chosen = ['--python', str(python)] if python else []
    subprocess.run(
        [sys.executable, '-m', 'pip', *chosen, '--quiet', *map(str, arguments)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope='module')
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of both, built from the files of the repository."""
    if shutil.which('git') is None:
        pytest.skip('git, which tells the files of the repository from others, is not installed')
    folder = tmp_path_factory.mktemp('wheels')
    source = folder / 'source'
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    assert listed
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    # the runtime first: what building leaves in its folder must not get into the other
    for place in (source / 'shufflenet_runtime', source):
        pip('wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', folder, place)
    found = {path.name.partition('-')[0]: path for path in folder.glob('*.whl')}
    assert found.keys() == {'shufflenet_det', 'shufflenet_runtime'}
    return found


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_what_mim_looks_for(wheels):
    names = files_of(wheels['shufflenet_det'])
    assert 'shufflenet_det/.mim/model-index.yml' in names
    assert 'shufflenet_det/.mim/tools/train.py' in names
    for config in (ROOT / 'configs').rglob('*.py'):
        assert f'shufflenet_det/.mim/{config.relative_to(ROOT).as_posix()}' in names
    assert 'shufflenet_det/compat/mmcv_ext/nms.py' in names


def test_each_file_has_one_owner(wheels):
    package, runtime = (files_of(wheel) for wheel in wheels.values())
    assert package & runtime == set()
    for names in (package, runtime):
        assert any(name.endswith('licenses/LICENSE') for name in names)


def test_package_brings_the_runtime_as_it_is(wheels):
    names = files_of(wheels['shufflenet_det'])
    here = {path.name for path in (ROOT / 'shufflenet_runtime').glob('*.py')}
    start = 'shufflenet_det/.runtime/shufflenet_runtime/'
    assert {n.removeprefix(start) for n in names if n.startswith(start)} == here | {'LICENSE'}


@pytest.mark.parametrize(
    'order', ['package first', pytest.param('runtime first', marks=pytest.mark.slow)]
)
def test_either_is_installed_and_uninstalled_without_the_other(wheels, tmp_path, order):
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / 'bin' / 'python'
    names = ['shufflenet_det', 'shufflenet_runtime']
    checks = dict(shufflenet_det=PACKAGE, shufflenet_runtime=RUNTIME)

    def works(name: str) -> str:
        done = subprocess.run(
            [python, '-c', checks[name]], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for name in names if order == 'package first' else names[::-1]:
        pip('install', '--no-deps', '--no-index', wheels[name], python=python)
        works(name)
    # its own copy, of which it knows the version
    assert '.runtime' in works('shufflenet_det') and '.runtime' not in works('shufflenet_runtime')
    for gone, left in (names, names[::-1]):
        pip('uninstall', '--yes', gone, python=python)
        works(left)
        pip('install', '--no-deps', '--no-index', wheels[gone], python=python)
        works(gone)
    assert (tmp_path / 'bin' / 'shufflenet-runtime').is_file()


def test_a_runtime_of_another_version_is_told(monkeypatch, tmp_path):
    import shufflenet_runtime
    from shufflenet_det.runtime_files import provide_runtime

    monkeypatch.setattr(shufflenet_runtime, '__version__', '0.0.1')
    monkeypatch.setattr(sys, 'path', before := list(sys.path))
    with pytest.raises(ImportError, match=r'shufflenet_runtime 0\.0\.1 from .* was imported'):
        provide_runtime(tmp_path)
    assert sys.path == before


# names in the index, where they differ from the module; mmcv comes as one of two packages, which
# the reader chooses, and these are asked for where they are missing
DISTRIBUTIONS = dict(cv2='opencv-python', PIL='pillow', yaml='pyyaml')
CHOSEN = {'mmcv', 'mmpretrain', 'pavi'}


def imported(package: str) -> set[str]:
    """Top-level packages that the modules of a package import, inside functions, too."""
    names = set()
    for path in (ROOT / package).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition('.')[0])
    own = {'shufflenet_det', 'shufflenet_runtime'}
    return {DISTRIBUTIONS.get(name, name) for name in names - own - CHOSEN
            if name not in sys.stdlib_module_names}  # fmt: skip


def test_everything_imported_is_declared():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    extras = {k: v for k, v in metadata['options.extras_require'].items() if k != 'dev'}
    text = '\n'.join([metadata['options']['install_requires'], *extras.values()])
    declared = set(re.findall(r'^([\w-]+)', re.sub(r'#.*', '', text), re.M))
    assert imported('shufflenet_det') | imported('shufflenet_runtime') <= declared


def test_the_runtime_names_no_parent_and_loads_no_engine():
    for path in (ROOT / 'shufflenet_runtime').iterdir():
        if path.suffix in ('.py', '.toml'):
            assert 'shufflenet_det' not in path.read_text().lower().replace('-', '_'), path
    code = (
        'import sys, shufflenet_runtime as runtime; before = set(sys.modules);'
        'assert not {"cv2", "numpy", "onnxruntime", "openvino", "ncnn"} & before;'
        'assert "Detector" in dir(runtime);'
        'print(runtime.Detector.__name__, "shufflenet_runtime.engines" in sys.modules)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ['Detector', 'True']
