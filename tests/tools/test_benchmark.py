import json
import subprocess
import sys
from pathlib import Path

from shufflenet_det.benchmark.input_pipeline import write_photos

from ..conftest import ROOT


def run(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, 'tools/benchmark.py', *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


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
