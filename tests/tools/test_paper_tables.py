"""The command line of the tables, in this process: to start one takes longer than the tables."""
import json
import runpy
import sys

import pytest

from ..conftest import ROOT

TOOL = ROOT / 'tools' / 'paper_tables.py'
CONFIG = str(ROOT / 'configs' / 'faster_rcnn_shufflenet.py')
DOCUMENT = (ROOT / 'docs' / 'complexity.md').read_text()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    def run(*arguments: object) -> tuple[str, str]:
        """Standard output and error, and the message of the exit behind the latter."""
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        exit_message = ''
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as end:
            exit_message = str(end.code)
        captured = capsys.readouterr()
        return captured.out, captured.err + exit_message

    return run


def test_detector_by_parts_is_as_documented(run):
    output, _ = run('--config', CONFIG, '--shape', 600, 800)
    assert output.startswith('faster_rcnn_shufflenet at 600x800, padded to 608x800, 300 RoIs\n+---')
    assert output in DOCUMENT


def test_classifier_layer_by_layer(run):
    config = ROOT / 'configs' / 'imagenet' / 'alexnet_in1k.py'
    output, _ = run('--config', config, '--shape', 224, 224, '--detail', '--format', 'json')
    parts, layers = json.loads(output)
    assert [row['name'] for row in parts['rows']] == ['backbone', 'head', 'total']
    assert parts['rows'][-1]['macs'] == sum(row['macs'] for row in layers['rows'][:-1])
    assert layers['rows'][0]['output_shape'] == '1x64x55x55'


def test_options_change_the_config(run):
    option = 'model.test_cfg.rpn.max_per_img=7'
    output, _ = run('--config', CONFIG, '--shape', 64, 64, '--cfg-options', option)
    assert output.startswith('faster_rcnn_shufflenet at 64x64, 7 RoIs\n')


def test_tables_with_what_is_measured_go_to_a_file(run, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'metrics.json').write_text(
        json.dumps(dict(config='shufflenet-v1-1x-g4_in1k.py', metrics={'error/top1': 32.75}))
    )
    sample = dict(config='shufflenet-v1-1x-g8_in1k.py', metrics={'error/top1': 1.0}, classes=12)
    (tmp_path / 'metrics.json').write_text(json.dumps(sample))
    out = tmp_path / 'new' / 'tables.md'
    output, errors = run('--table', 1, '--detail', '--work-dirs', tmp_path, '--format', 'markdown',
                         '--out', out)  # fmt: skip
    assert output == f'wrote {out}\n'
    assert '1 of 2 evaluations found stand in these tables' in errors
    assert f'left out: {tmp_path / "metrics.json"} is of 12 classes' in errors
    text = out.read_text()
    assert '### Table 1: the architecture, counted' in text
    (row,) = (line for line in text.splitlines() if line.startswith('| ShuffleNet 1x g=4 '))
    assert row.split('|')[-2].strip() == '32.8'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--table', '9'], 'error: --table 9: the paper has Tables 1 to 8'),
        (['--config', CONFIG], '--config and --shape HEIGHT WIDTH go together'),
        (['--shape', '3', '4'], '--config and --shape HEIGHT WIDTH go together'),
        (['--config', CONFIG, '--shape', '3', '4', '--table', '1'], 'leave out --table'),
        (['--cfg-options', 'a=1'], '--cfg-options needs --config'),
        (['--config', 'nowhere.py', '--shape', '3', '4'], 'config file not found: nowhere.py'),
        (['--work-dirs', 'nowhere'], 'error: --work-dirs nowhere: no such folder'),
    ],
)
def test_usage_that_cannot_be(run, arguments: list[str], message: str):
    output, errors = run(*arguments)
    assert message in errors and 'Traceback' not in errors
    assert output == ''


def test_outputs_and_options_that_cannot_be_are_named(run, tmp_path):
    assert 'Is a directory' in run('--table', 1, '--out', tmp_path)[1]
    counted = ('--config', CONFIG, '--shape', 300, 300)
    assert 'abc' in run(*counted, '--cfg-options', 'abc')[1]
