"""The tables are the paper's, their figures ours, and what is measured stands where it belongs."""
import json
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.common.tables import Column, Table, as_json, as_markdown, as_text
from shufflenet_det.models.widths import STAGE2_CHANNELS
from shufflenet_det.paper.evaluations import find_evaluations
from shufflenet_det.paper.figures import (
    CLASSIFIERS,
    DETECTOR_SHAPES,
    DETECTORS,
    GROUPS,
    TITLES,
)
from shufflenet_det.paper.tables import (
    CONFIGS,
    architecture,
    count_network,
    layer_table,
    paper_table,
)

import pytest

from ..conftest import ROOT

DOCUMENT = (ROOT / 'docs' / 'complexity.md').read_text()
DEVIATION = 3  # percent, above which a figure needs an explanation


@pytest.mark.parametrize('number', CLASSIFIERS)
def test_what_deviates_is_explained_and_nothing_else(number):
    for row in paper_table(number).rows:
        explained = row['note'] is not None
        assert explained == (abs(row['deviation']) > DEVIATION), row


@pytest.mark.parametrize('number', TITLES)
def test_documented_tables_are_those_of_the_code(number):
    assert as_markdown([paper_table(number)]) + '\n' in DOCUMENT


def test_documented_architecture_is_that_of_the_code():
    assert as_markdown([architecture()]) + '\n' in DOCUMENT


def test_architecture_is_that_of_the_paper():
    *rows, total = architecture().rows
    assert [row['output_size'] for row in rows] == [112, 56, 28, 28, 14, 14, 7, 7, 1]
    assert [row['stride'] for row in rows] == [2, 2, 2, 1, 2, 1, 2, 1, 1]
    assert [row['repeat'] for row in rows] == [1, 1, 1, 3, 1, 7, 1, 3, 1]
    for groups in GROUPS:
        stage2 = STAGE2_CHANNELS[groups]
        channels = [24, 24] + [stage2 * factor for factor in (1, 1, 2, 2, 4, 4)] + [1000]
        assert [row[f'channels_{groups}'] for row in rows] == channels
        network = count_network(f'shufflenet-v1-1x-g{groups}_in1k')
        assert total[f'macs_{groups}'] == network.macs


def test_one_network_has_one_error_in_all_tables():
    errors: dict[str, set] = {}
    for row in (row for rows in CLASSIFIERS.values() for row in rows if row.error):
        errors.setdefault(row.config, set()).add(row.error)
    assert {config: found for config, found in errors.items() if len(found) > 1} == {}


def test_shuffle_costs_nothing():
    rows = paper_table(3).rows
    for without, with_shuffle in zip(rows[::2], rows[1::2], strict=True):
        assert without['model'] == with_shuffle['model'] + ', no shuffle'
        assert without['mflops'] == with_shuffle['mflops']


def test_every_network_of_the_paper_has_its_config():
    names = {f'imagenet/{row.config}.py' for rows in CLASSIFIERS.values() for row in rows}
    names |= {f'faster_rcnn/{row.config}.py' for row in DETECTORS if row.config}
    assert [name for name in names if not (CONFIGS / name).is_file()] == []


def test_detectors_are_counted_by_their_resolution():
    rows = [row for row in paper_table(7).rows if row['config']]
    for row in rows:
        given, seen = DETECTOR_SHAPES[row['resolution']], row['input_shape']
        assert min(given) == row['resolution']
        assert all(0 <= after - before < 32 for before, after in zip(given, seen, strict=True))
        parts = row['mflops_backbone'] + row['mflops_rpn'] + row['mflops_rois']
        assert row['mflops'] == pytest.approx(parts)
    for small, large in zip(rows[::2], rows[1::2], strict=True):
        assert small['mflops_rois'] == large['mflops_rois']
        assert small['mflops_backbone'] < large['mflops_backbone']


def write_run(folder: Path, config: str, value: float, **content: object) -> Path:
    metric = 'coco/bbox_mAP' if 'rcnn' in config else 'error/top1'
    folder.mkdir(parents=True)
    content = dict(dict(config=config, metrics={metric: value}, date='2026-01-01'), **content)
    (folder / 'metrics.json').write_text(json.dumps(content))
    return folder / 'metrics.json'


def measured(number: int, folder: Path, key: str) -> tuple[dict[str, float], dict[Path, str]]:
    """Measured figures by config, and the files left out with the reasons."""
    evaluations = find_evaluations([folder])
    rows = paper_table(number, evaluations).rows
    figures = {row['config']: row[key] for row in rows if row.get(key) is not None}
    return figures, evaluations.left_out


def test_measured_errors_stand_in_the_row_of_their_config(tmp_path):
    write_run(tmp_path / 'a', 'configs/imagenet/shufflenet-v1-1x-g3_in1k.py', 33.25, classes=1000)
    write_run(tmp_path / 'b' / 'c', '/elsewhere/shufflenet-v1-1x-g8_in1k.py', 32.5)
    write_run(tmp_path / 'd', 'configs/sample/shufflenet-v1-0.5x-g3_sample.py', 5.0)
    write_run(tmp_path / 'e', 'configs/imagenet/shufflenet-v1-1x-g3_ours-600k_in1k.py', 30.0)
    figures, left_out = measured(2, tmp_path, 'error')
    assert figures == {'shufflenet-v1-1x-g3_in1k': 33.25, 'shufflenet-v1-1x-g8_in1k': 32.5}
    assert left_out == {}
    text = as_text([paper_table(2, find_evaluations([tmp_path]))])
    assert 'measured error' in text and '33.2 |' in text
    assert 'measured error' not in as_text([paper_table(2)])


def test_figures_of_other_data_are_left_out(tmp_path):
    config = 'configs/imagenet/shufflenet-v1-1x-g3_in1k.py'
    detector = 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-300.py'
    sample = write_run(tmp_path / 'sample', config, 5.0, classes=12)
    part = write_run(tmp_path / 'part', config, 5.0, classes=1000, images=500)
    by_class = write_run(tmp_path / 'classes', config, 5.0, per_class={'cat': 5.0, 'dog': 5.0})
    small = write_run(tmp_path / 'small', detector, 0.5, per_class={'bbox': {'cat': {}}})
    other = write_run(tmp_path / 'other', detector, 0.5, resolution=[1000, 600])
    nothing = write_run(tmp_path / 'nothing', detector, -1.0)
    figures, left_out = measured(2, tmp_path, 'error')
    assert figures == {}
    assert left_out == {
        sample: 'is of 12 classes, not of the 1000 of ImageNet',
        part: 'is of 500 images, not of the 50000 of ImageNet',
        by_class: 'is of 2 classes, not of the 1000 of ImageNet',
    }
    figures, left_out = measured(7, tmp_path, 'mean_ap')
    assert figures == {}
    assert left_out == {
        small: 'is of 1 classes, not of the 80 of COCO',
        other: 'is of 600 pixels, not of 300',
        nothing: 'has nothing measured',
    }


def test_the_latest_evaluation_stands(tmp_path):
    config = 'faster-rcnn_shufflenet-v1-1x-g3_c4_2x_coco-600.py'
    write_run(tmp_path / 'a', config, 0.15, date='2026-03-01', resolution=[1000, 600])
    latest = write_run(tmp_path / 'b', config, 0.19, date='2026-03-02', resolution=[1000, 600])
    write_run(tmp_path / 'c', config, 0.17, date='2026-02-03', resolution=[1000, 600])
    assert measured(7, tmp_path, 'mean_ap')[0] == {config.removesuffix('.py'): 19.0}
    assert measured(7, tmp_path, 'run')[0] == {config.removesuffix('.py'): str(latest)}


def test_work_folders_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match='nowhere: no such folder'):
        find_evaluations([tmp_path / 'nowhere'])
    (tmp_path / 'metrics.json').write_text('["of another program"]')
    assert find_evaluations([tmp_path]).found == []
    (tmp_path / 'metrics.json').write_text('{"config": "a.py", "metr')
    with pytest.raises(DataError, match='metrics.json is damaged'):
        find_evaluations([tmp_path])


def test_tables_that_the_paper_does_not_have():
    with pytest.raises(ConfigError, match='--table 9: the paper has Tables 1 to 8'):
        paper_table(9)


def test_layers_add_up_to_the_network():
    counted = count_network('squeezenet_in1k')
    *rows, total = layer_table('SqueezeNet', counted).rows
    assert total['macs'] == sum(row['macs'] for row in rows) == counted.macs
    assert total['params'] == sum(row['params'] for row in rows) == counted.params
    first = rows[0]
    assert (first['kind'], first['output_shape']) == ('Conv2d', '1x96x109x109')
    assert first['macs'] == 96 * 3 * 49 * 109**2


def test_rendering():
    columns = (
        Column('name', 'name'),
        Column('macs', 'M', '.1f', '%', scale=1e-6),
        Column('none', 'empty', 'd'),
    )
    rows = [dict(name='a', macs=1234567, note='why'), dict(name='b', macs=None, note='why')]
    table = Table('title', columns, rows)
    assert table.cells() == [['name', 'M'], ['a [1]', '1.2%'], ['b [1]', '']]
    assert as_text([table]).splitlines()[-1] == '[1] why'
    assert as_markdown([table]).endswith('\n\n- [1] why')
    assert json.loads(as_json([table])) == [dict(title='title', rows=rows)]
