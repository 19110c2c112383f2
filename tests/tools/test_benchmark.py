import json
import runpy
import subprocess
import sys
from pathlib import Path

from shufflenet_det.benchmark.input_pipeline import write_photos
from shufflenet_det.common.errors import ConfigError

import pytest
from mmengine.logging import MMLogger

from ..conftest import ROOT
from ..zygote import run_forked

DETECTOR = ROOT / 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-0.5x-g3_c4_2x_coco-300.py'


@pytest.fixture(autouse=True)
def _level_of_the_logger():
    """The tool silences MMEngine's logger, which other tests of the process listen to."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    yield
    logger.setLevel(level)


def run(*arguments: str | Path) -> subprocess.CompletedProcess:
    return run_forked(['tools/benchmark.py', *arguments])


def test_input_prints_a_table_and_writes_json(tmp_path) -> None:
    write_photos(tmp_path / 'photos', 2)
    file = tmp_path / 'out' / 'input.json'
    options = ('--data', tmp_path / 'photos', '--images', 2, '--rounds', 1, '--json', file)
    result = run('input', *options)
    assert result.returncode == 0, result.stderr
    assert 'ratio' in result.stdout and 'evaluation' in result.stdout
    content = json.loads(file.read_text())
    assert content['images'] == 2 and len(content['rows']) == 6
    assert all(row['median'] > 0 for row in content['rows'])


def test_folder_that_is_missing_is_one_line(tmp_path) -> None:
    result = run('input', '--data', tmp_path / 'nowhere')
    assert result.returncode == 1
    assert result.stderr.startswith('error: data root not found') and 'Traceback' not in (
        result.stderr
    )


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    """The tool without another process, whose imports take most of the time."""
    monkeypatch.setattr(sys, 'argv', ['tools/benchmark.py', *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools' / 'benchmark.py'))['main']()


def test_backbones_are_compared(tmp_path, monkeypatch, capsys) -> None:
    file, picture = tmp_path / 'speed.json', tmp_path / 'speed.png'
    run_here(
        monkeypatch, 'backbone', 'type=ShuffleNetV1 groups=1 widen_factor=0.25', 'alexnet',
        '--size', '64', '64x96', '--rounds', 1, '--warmup', 1, '--mode', 'forward',
        '--baseline', 'alexnet', '--markdown', '--json', file, '--plot', picture,
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert '### Backbones: batch 1, threads 1, fp32, cpu' in shown
    assert "python tools/benchmark.py backbone 'type=ShuffleNetV1 " in shown
    content = json.loads(file.read_text())
    assert [row['size'] for row in content['rows']] == ['64x64'] * 2 + ['64x96'] * 2
    assert ['ratio' in row for row in content['rows']] == [True, False] * 2
    assert content['command'] in shown and picture.stat().st_size > 1000


def test_detectors_are_compared(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip('mmpretrain')
    run_here(
        monkeypatch, 'detector', DETECTOR, '--peer-backbone', 'mmpretrain', '--size', '64',
        '--rounds', 1, '--warmup', 1, '--mode', 'forward', 'deploy', '--proposals', 5,
        '--json', tmp_path / 'speed.json',
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert f'{DETECTOR.stem} + mmpretrain' in shown and 'RoI head: shared stage' in shown
    rows = json.loads((tmp_path / 'speed.json').read_text())['rows']
    assert [(row['mode'], row['proposals']) for row in rows] == [('forward', 5), ('deploy', 5)] * 2
    # with the same weights
    assert rows[0]['detections'] == rows[2]['detections']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['backbone', 'shufflenet-v1-1x-g5'], 'groups=5 has no widths'),
        (['backbone', 'alexnet', '--baseline', 'alexnett'], 'Did you mean alexnet?'),
        (['backbone', 'alexnet', '--size', '8', '--mode', 'forward'], 'alexnet does not run at'),
        (['engines', '--network', '--detectors'], 'both empty: there is nothing to time'),
        (['engines', '--rewrites', '--size', '64', '--engine', 'pytorch'], 'Name another --engine'),
        (['detector', 'nowhere.py'], 'config file not found: nowhere.py'),
        (['detector', DETECTOR, '--baseline', 'x'], "--baseline 'x' is not among the sides"),
    ],
)
def test_what_cannot_be_is_an_error(arguments, message, monkeypatch) -> None:
    with pytest.raises(ConfigError, match=message.replace('?', r'\?')):
        run_here(monkeypatch, *arguments)


@pytest.mark.parametrize('option', [('--size', '0'), ('--size', '3x'), ('--threads', 'two')])
def test_options_that_are_no_numbers_end_the_tool(option, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        run_here(monkeypatch, 'backbone', 'alexnet', *option)
    assert option[0] in capsys.readouterr().err
