"""`shufflenet-det`: the tools as one installed command."""
import configparser
import importlib
import sys

from shufflenet_det import tools
from shufflenet_det.tools import __main__ as command

import pytest

from ..conftest import ROOT


def ran(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit status, or the message that the command ends with."""
    monkeypatch.setattr(sys, 'argv', ['shufflenet-det', *arguments])
    try:
        command.main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command_is_installed_and_names_all_it_has(monkeypatch, capsys):
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    scripts = metadata['options.entry_points']['console_scripts']
    assert scripts.strip() == 'shufflenet-det = shufflenet_det.tools.__main__:main'
    assert ran(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert all(f'  {name} ' in shown for name in [*tools.COMMANDS, 'runtime'])


@pytest.mark.parametrize('name', [*tools.COMMANDS, 'runtime'])
def test_each_command_shows_its_own_help(monkeypatch, capsys, name):
    assert ran(monkeypatch, name, '--help') == 0
    assert capsys.readouterr().out.startswith('usage: ')


def test_an_unknown_command_is_told_and_the_nearest_is_named(monkeypatch):
    assert 'Did you mean train?' in ran(monkeypatch, 'trian')


def test_a_mistake_is_one_message(monkeypatch, tmp_path):
    message = ran(monkeypatch, 'train', str(tmp_path / 'none.py'))
    assert message == f'error: config file not found: {tmp_path / "none.py"}.'


def test_tools_of_the_checkout_are_the_same_functions():
    thin = {path.stem for path in (ROOT / 'tools').glob('*.py')}
    # these two run the files of a checkout
    assert thin - {'demo', 'claims'} == {module for module, _ in tools.COMMANDS.values()}
    for module, _ in tools.COMMANDS.values():
        lines = (ROOT / 'tools' / f'{module}.py').read_text().splitlines()
        assert f'from shufflenet_det.tools.{module} import main' in lines and len(lines) < 8
        assert callable(importlib.import_module(f'shufflenet_det.tools.{module}').main)


def test_another_tool_is_named_in_the_way_this_one_was_started(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['tools/prepare_data.py'])
    assert tools.command_of('train') == ['python', 'tools/train.py']
    monkeypatch.setattr(sys, 'argv', ['shufflenet-det prepare-data'])
    assert tools.command_of('swap_backbone') == ['shufflenet-det', 'swap']
