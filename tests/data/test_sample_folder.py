"""What holds for both sample data sets as folders: complete or absent, and never another's."""
import importlib.util
import json
import sys
from itertools import permutations
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.data.sample import (
    CLASSIFICATION_VERSION,
    GENERATOR_VERSION,
    classification,
    generate,
    make_classification_sample,
    make_sample,
)

import pytest

from ..conftest import ROOT
from .sample_files import contents

MAKERS = {
    'detection': (make_sample, dict(train=3, val=2)),
    'classification': (make_classification_sample, dict(train=33, val=32, size=32)),
}
VERSIONS = dict(detection=GENERATOR_VERSION, classification=CLASSIFICATION_VERSION)
RENDERERS = dict(
    detection=(generate, 'render_scene'), classification=(classification, 'render_view')
)


@pytest.fixture(params=MAKERS)
def kind(request):
    return request.param


@pytest.fixture
def tiny(kind, tmp_path):
    """Makes a data set of few pictures, one after the other."""
    make, counts = MAKERS[kind]
    return lambda **options: make(tmp_path / 'sample', **{**counts, 'workers': 1, **options})


def test_existing_data_set_is_kept(kind, tiny, capsys):
    folder = tiny()
    manifest = json.loads((folder / 'sample.json').read_text())
    expected = dict(MAKERS[kind][1], seed=0, version=VERSIONS[kind])
    assert {name: manifest[name] for name in expected} == expected
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
    capsys.readouterr()
    tiny()
    assert 'already there' in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


def test_another_data_set_is_replaced_only_by_force(tiny):
    before = contents(tiny())
    with pytest.raises(DataError, match='--force'):
        tiny(seed=1)
    folder = tiny(seed=1, force=True)
    assert contents(folder) != before
    assert [path.name for path in folder.parent.iterdir()] == ['sample']


def test_changed_files_are_noticed(tiny):
    folder = tiny()
    before = contents(folder)
    next(path for path in folder.rglob('*') if path.suffix in ('.jpg', '.JPEG')).unlink()
    with pytest.raises(DataError, match='changed'):
        tiny()
    assert contents(tiny(force=True)) == before


@pytest.mark.parametrize('force', [False, True])
@pytest.mark.parametrize('file_name', ['holiday.jpg', 'sample.json'])
def test_foreign_folders_are_left_alone(tiny, tmp_path, force, file_name):
    (tmp_path / 'sample').mkdir()
    (tmp_path / 'sample' / file_name).write_text('{"mine": true}')
    with pytest.raises(DataError, match='left alone'):
        tiny(force=force)
    assert contents(tmp_path) == {f'sample/{file_name}': b'{"mine": true}'}


def test_an_empty_folder_is_filled(tiny, tmp_path):
    (tmp_path / 'sample').mkdir()
    assert (tiny() / 'sample.json').exists()


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_a_failure_leaves_nothing_and_takes_nothing(kind, tiny, tmp_path, monkeypatch, error):
    module, name = RENDERERS[kind]
    render, counts, calls = getattr(module, name), MAKERS[kind][1], []

    def fail_in_val(*args, **kwargs):
        calls.append(1)
        if len(calls) == counts['train'] + 1:
            raise error
        return render(*args, **kwargs)

    monkeypatch.setattr(module, name, fail_in_val)
    with pytest.raises(DataError if error is OSError else error):
        tiny()
    assert len(calls) > counts['train']
    assert list(tmp_path.iterdir()) == []

    before = contents(tiny())
    calls.clear()
    with pytest.raises(DataError if error is OSError else error):
        tiny(force=True)
    assert contents(tmp_path / 'sample') == before
    assert [path.name for path in tmp_path.iterdir()] == ['sample']


def test_the_old_data_set_comes_back_if_the_new_one_cannot_be_moved(tiny, monkeypatch):
    before = contents(tiny())
    rename = Path.rename

    def refuse(path, target):
        if 'partial' in path.name and not path.name.endswith('.old'):
            raise PermissionError('no entry')
        return rename(path, target)

    monkeypatch.setattr(Path, 'rename', refuse)
    with pytest.raises(DataError, match='no entry'):
        tiny(seed=1, force=True)
    assert contents(tiny()) == before


@pytest.mark.parametrize('wrong', [{'train': 0}, {'val': 0}, {'seed': -1}, {'workers': 0}])
def test_impossible_arguments_are_refused(tiny, tmp_path, wrong):
    with pytest.raises(ConfigError):
        tiny(**wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('first, second', list(permutations(MAKERS)))
def test_one_kind_is_not_taken_for_the_other(tmp_path, first, second):
    counts = dict(train=32, val=32, workers=2)
    MAKERS[first][0](tmp_path, **counts)
    with pytest.raises(DataError, match='--force'):
        MAKERS[second][0](tmp_path, **counts)


@pytest.fixture
def tool(monkeypatch):
    """Runs the tool as a command line; returns its exit status, or the message it ends with."""
    path = ROOT / 'tools' / 'make_sample_data.py'
    spec = importlib.util.spec_from_file_location('make_sample_data', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [path.name, *map(str, arguments)])
        try:
            cli.run(module.main)
        except SystemExit as stop:
            return stop.code
        return 0

    return run


def options_of(kind):
    counts = MAKERS[kind][1]
    return ['--kind', kind, *(part for name in counts for part in (f'--{name}', counts[name]))]


def test_tool(kind, tool, tiny, tmp_path, capsys):
    out = tmp_path / 'new' / 'sample'
    assert tool(*options_of(kind), '--workers', 1, '--seed', 7, '--out', out) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert contents(out) == contents(tiny(seed=7))
    (tmp_path / 'file').write_text('')
    for wrong in ('file', 'file/sample'):
        assert tool(*options_of(kind), '--out', tmp_path / wrong).startswith('error: ')


def test_tool_makes_scenes_by_default(tool, tmp_path):
    assert tool('--train', 1, '--val', 1, '--out', tmp_path / 'sample') == 0
    assert (tmp_path / 'sample' / 'annotations').is_dir()


def test_tool_refuses_a_size_for_scenes(tool, tmp_path):
    assert '--kind classification' in tool('--size', 90, '--out', tmp_path / 'sample')
    assert list(tmp_path.iterdir()) == []


def test_tool_interrupted(kind, tool, tmp_path, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(*RENDERERS[kind], interrupt)
    assert tool(*options_of(kind), '--out', tmp_path / 'sample') == 130
    assert 'interrupted: nothing was made' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
