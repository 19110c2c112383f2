"""Exported folders beside each other."""
import json
from pathlib import Path

from shufflenet_det.benchmark.exported import exported_tables, measure_exported, plot
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.common.tables import as_text

import cv2
import numpy as np
import pytest

from ..runtime.networks import write_classifier


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """A network in float32, and the same that says it is another precision with a loss."""
    names = [str(write_classifier(tmp_path / name)) for name in ('full', 'low')]
    path = Path(names[1], 'deploy.json')
    about = json.loads(path.read_text())
    about['engines']['onnxruntime'] |= dict(
        precision='int8', loss=dict(figure='top-1', images=9, expected=0.75, found=0.5, loss=0.25)
    )
    path.write_text(json.dumps(about))
    return names


def test_folders_are_timed_beside_the_fastest_in_fp32(folders):
    rows = measure_exported(folders, [(20, 30), (40, 50)], [], 1, 3, 1)
    assert [(row['name'], row['size'], row['dtype']) for row in rows] == [
        (name, size, dtype)
        for size in ('20x30', '40x50')
        for name, dtype in (('full', 'fp32'), ('low', 'int8'))
    ]
    full, low = rows[:2]
    assert 'speedup' not in full and low['speedup'] > 0
    assert low['figure'] == 0.5 and low['loss'] == 0.25 and full['figure'] is None
    size = Path(folders[0], 'model.onnx').stat().st_size
    assert full['megabytes'] == pytest.approx(size / 1e6)
    text = as_text(exported_tables(rows))
    assert 'mAP or top-1' in text and text.count('Exported networks') == 2


def test_folders_are_timed_on_an_image(folders, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((24, 36, 3), np.uint8))
    (row, _) = measure_exported(folders, [], [str(tmp_path / 'a.png')], 1, 2, 1)
    assert row['size'] == '24x36'


def test_networks_are_timed_on_something(folders):
    with pytest.raises(ConfigError, match='--size or --images'):
        measure_exported(folders, [], [], 1, 2, 1)


def test_what_another_tool_measured_is_drawn_against_the_time(folders, tmp_path):
    written = tmp_path / 'metrics.json'
    about = dict(checkpoint=folders[0], engine='onnxruntime')
    for metrics, figure in (({'error/top1': 25.0}, 0.75), ({'coco/bbox_mAP': 0.4}, 0.4)):
        written.write_text(json.dumps(about | dict(metrics=metrics)))
        rows = measure_exported(folders, [(20, 30)], [], 1, 2, 1, [written])
        assert [row['figure'] for row in rows] == [figure, 0.5]
    plot(rows, tmp_path / 'plots/a.png')
    assert cv2.imread(str(tmp_path / 'plots/a.png')).std() > 10
    with pytest.raises(ConfigError, match='not known how good .* --metrics'):
        plot([row | dict(figure=None) for row in rows], tmp_path / 'b.png')
    for wrong in ('{', '[]', '{"metrics": {}}'):
        written.write_text(wrong)
        with pytest.raises(DataError, match=r'metrics\.json is no metrics\.json that tools/test'):
            measure_exported(folders, [(20, 30)], [], 1, 2, 1, [written])


def test_each_checkpoint_has_its_own_fastest(folders):
    for folder in folders:
        path = Path(folder, 'deploy.json')
        about = json.loads(path.read_text()) | dict(source=dict(checkpoint_sha256=folder))
        about['engines']['onnxruntime']['precision'] = 'fp32'
        path.write_text(json.dumps(about))
    rows = measure_exported(folders, [(20, 30)], [], 1, 2, 1)
    assert not any('speedup' in row for row in rows)


def test_torchvisions_detector_takes_turns_in_the_same_engines(folders):
    rows = measure_exported(folders, [(64, 96)], [], 1, 2, 1, peer=True)
    (peer,) = [row for row in rows if row['name'].startswith('torchvision:')]
    assert peer['engine'] == 'onnxruntime' and peer['size'] == '64x96' and peer['median'] > 0
    # its 19.4 million parameters in float32
    assert 70 < peer['megabytes'] < 90
    assert 'torchvision' in as_text(exported_tables(rows))
