"""The generator of the model zoo, on folders with one or two small configs."""
import json
import sys
from pathlib import Path

from shufflenet_det.common.config import CONFIGS, load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.paper import zoo
from shufflenet_det.paper.evaluations import find_evaluations
from shufflenet_det.paper.figures import DETECTOR_SHAPES
from shufflenet_det.paper.tables import count_network

import pytest
import yaml

CLASSIFIER = 'shufflenet-v1-0.25x-g1_in1k'
METAFILE = """Collections:
  - Name: first
    Code:
      URL: shufflenet_det/models/classifier.py
  - Name: of the backbone
    Code:
      URL: shufflenet_det/models/mobilenet_v1.py
"""
README = """# Title

| of something else |
|---|
| a |

| config | old |
|---|---|
| gone | 1 |

The end.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / 'configs' / 'imagenet'
    folder.mkdir(parents=True)
    for name in (CLASSIFIER, 'mobilenet-v1-0.25_in1k'):
        add_config(folder, name)
    (folder / 'metafile.yml').write_text(METAFILE)
    (folder / 'README.md').write_text(README)
    return folder


def add_config(folder: Path, name: str) -> None:
    base = CONFIGS.resolve() / 'imagenet' / f'{name}.py'
    (folder / f'{name}.py').write_text(f'_base_ = {str(base)!r}\n')


def update(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> list[dict]:
    """Run the tool, and return the models of the metafile."""
    monkeypatch.setattr(sys, 'argv', ['zoo', '--configs', str(folder.parent), *arguments])
    zoo.main()
    return yaml.safe_load((folder / 'metafile.yml').read_text())['Models']


def row(folder: Path, name: str) -> list[str]:
    lines = (folder / 'README.md').read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f'| [{name}]({name}.py) '))
    return [cell.strip() for cell in line.split('|')[2:-1]]


def test_entries_have_what_is_counted_and_what_the_paper_has(folder, monkeypatch):
    classifier, mobilenet = sorted(update(monkeypatch, folder), key=lambda m: m['Name'])[::-1]
    counted = count_network(CLASSIFIER)
    assert classifier == {
        'Name': CLASSIFIER,
        'In Collection': 'first',
        'Config': f'configs/imagenet/{CLASSIFIER}.py',
        'Metadata': {
            'Architecture': 'ShuffleNetV1',
            'FLOPs': counted.macs,
            'Parameters': counted.params,
            'Input Shape': '224x224',
            'Iterations': 300000,
            'Paper FLOPs': 13000000,
            'Paper Top 1 Error': 57.1,
        },
        'Results': [
            {'Task': 'Image Classification', 'Dataset': 'ImageNet-1k', 'Metrics': {}},
        ],
    }
    assert mobilenet['In Collection'] == 'of the backbone'
    assert row(folder, CLASSIFIER) == ['2', '224x224', '13.2', '13', '0.21', '57.1', '']
    text = (folder / 'README.md').read_text()
    assert text.startswith('# Title\n\n| of something else |\n|---|\n| a |\n\n| config ')
    assert text.endswith('|\n\nThe end.\n') and 'gone' not in text
    assert (folder / 'metafile.yml').read_text().startswith(METAFILE + zoo.NOTE)


def test_what_is_measured_fills_its_cell_and_stays(folder, monkeypatch, tmp_path, capsys):
    work_dirs = tmp_path / 'work_dirs'
    for name, content in {
        'all': dict(metrics={'error/top1': 58.25, 'error/top5': 33.5}, images=50000),
        'part': dict(metrics={'error/top1': 10.0}, images=500),
    }.items():
        (work_dirs / name).mkdir(parents=True)
        content |= dict(config=f'{CLASSIFIER}.py', classes=1000)
        (work_dirs / name / 'metrics.json').write_text(json.dumps(content))
    measured = {'Top 1 Accuracy': 41.75, 'Top 5 Accuracy': 66.5}
    for arguments in (['--work-dirs', str(work_dirs)], []):
        models = {m['Name']: m for m in update(monkeypatch, folder, *arguments)}
        assert models[CLASSIFIER]['Results'][0]['Metrics'] == measured
        assert models['mobilenet-v1-0.25_in1k']['Results'][0]['Metrics'] == {}
        assert row(folder, CLASSIFIER)[-2:] == ['57.1', '58.2']
        assert row(folder, 'mobilenet-v1-0.25_in1k')[-2:] == ['49.4', '']
    assert 'metrics.json is of 500 images, not of the 50000' in capsys.readouterr().err


def test_detectors_are_measured_in_percent_under_either_name(tmp_path):
    content = dict(config='configs/faster_rcnn_shufflenet.py', metrics={'coco/bbox_mAP': 0.1985})
    (tmp_path / 'metrics.json').write_text(json.dumps(content))
    protocol = zoo.PROTOCOLS['CheckedCocoDataset']
    name = 'faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600'
    evaluation = find_evaluations([tmp_path]).latest(name, protocol.metric, 600, protocol.data)
    assert protocol.metrics(evaluation) == {'box AP': 19.85}


def test_second_time_changes_nothing_and_what_people_wrote_stays(folder, monkeypatch, capsys):
    update(monkeypatch, folder)
    models = update(monkeypatch, folder)[::-1]
    models[1]['Weights'] = 'https://example.org/weights.pth'
    models[1]['Metadata']['Training Memory (GB)'] = 5.5
    (folder / 'metafile.yml').write_text(zoo.with_models(METAFILE, models))
    add_config(folder, 'alexnet_in1k')
    assert update(monkeypatch, folder)[:2] == models
    capsys.readouterr()
    assert [m['Name'] for m in update(monkeypatch, folder)][2:] == ['alexnet_in1k']
    assert capsys.readouterr().out.count('as it was') == 2


def test_entry_of_a_config_that_is_gone_goes(folder, monkeypatch):
    update(monkeypatch, folder)
    (folder / f'{CLASSIFIER}.py').unlink()
    assert [m['Name'] for m in update(monkeypatch, folder)] == ['mobilenet-v1-0.25_in1k']
    assert CLASSIFIER not in (folder / 'README.md').read_text()


@pytest.mark.parametrize(
    ('config', 'shape'),
    [
        ('faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-300.py', DETECTOR_SHAPES[300]),
        ('faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_fpn_2x_coco-600.py', DETECTOR_SHAPES[600]),
        ('rtmdet/rtmdet_shufflenet-v1-1x-g3_light_coco-320.py', (320, 320)),
        ('imagenet/alexnet_in1k.py', (224, 224)),
        ('sample/shufflenet-v1-0.5x-g3_sample.py', (64, 64)),
    ],
)
def test_models_are_counted_as_they_are_tested(config, shape):
    assert zoo.input_shape(load_config(str(CONFIGS / config))) == shape


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('metafile.yml', None, 'metafile.yml is missing: write one'),
        ('README.md', None, 'README.md is missing: write one'),
        ('README.md', '# Title\n', 'README.md: 0 tables have `config`'),
        ('README.md', '| config |\n|---|\n\n| config |\n|---|\n', 'README.md: 2 tables'),
    ],
)
def test_folders_that_have_no_place_for_the_models(folder, monkeypatch, name, text, message):
    for path in folder.glob('mobilenet*'):
        path.unlink()
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    with pytest.raises(ConfigError, match=message):
        update(monkeypatch, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_folder_without_configs(tmp_path):
    with pytest.raises(ConfigError, match='no folders with configs'):
        zoo.zoo_folders(tmp_path)
    (tmp_path / '_base_').mkdir()
    (tmp_path / '_base_' / 'part.py').write_text('')
    with pytest.raises(ConfigError, match='no folders with configs'):
        zoo.zoo_folders(tmp_path)


def test_model_of_unknown_data_is_named(folder, monkeypatch):
    with open(folder / f'{CLASSIFIER}.py', 'a') as file:
        file.write("test_dataloader = dict(dataset=dict(type='Other'))\n")
    with pytest.raises(ConfigError, match=f'{CLASSIFIER}.py is tested on a Other'):
        update(monkeypatch, folder)
