"""Networks in the engines that run exported ones."""
from shufflenet_det.benchmark import engine_networks, engine_speed
from shufflenet_det.benchmark.engine_networks import build_classifier, engine_run, random_image
from shufflenet_det.export.agreement import compare
from shufflenet_det.export.average_pool import AveragePool

import numpy as np
import pytest
import torch
from torch import nn


@pytest.mark.parametrize('size', [(6, 6), (14, 19), (21, 39), (3, 7)])
def test_average_pool_is_the_adaptive_one(size):
    maps = torch.rand(2, 3, *size)
    expected = nn.AdaptiveAvgPool2d((6, 6))(maps)
    torch.testing.assert_close(AveragePool(size, (6, 6))(maps), expected)


@pytest.mark.parametrize('engine', ['pytorch', 'onnxruntime', 'openvino', 'ncnn'])
def test_engines_run_alexnet_at_other_sizes(engine, tmp_path):
    image = random_image((96, 160))
    source, _ = build_classifier('alexnet', (96, 160))
    found = engine_run(source, engine, image, tmp_path, 1)()
    if engine == 'pytorch':
        found = dict(logits=found.numpy())
    assert found['logits'].shape == (1, 1000)
    assert compare('classifier', source.predict(image), found).agrees
    # the same weights each time, for all engines
    again, _ = build_classifier('alexnet', (96, 160))
    np.testing.assert_array_equal(*(s.predict(image)['logits'] for s in (source, again)))


def test_networks_are_compared_with_alexnet_in_the_same_engine_and_in_the_fastest():
    engines = ['pytorch', 'onnxruntime']
    rows = engine_speed.measure_classifiers(
        ['shufflenet-v1-0.5x-g3'], [(224, 224), (64, 96)], engines, 1, 2, 1
    )
    assert [(row['name'], row['engine'], row['size']) for row in rows] == [
        (name, engine, size)
        for size in ('224x224', '64x96')
        for name in ('shufflenet-v1-0.5x-g3', 'alexnet')
        for engine in engines
    ]
    here, _, reference, _ = rows[:4]
    assert here['theory'] == pytest.approx(19, rel=0.02)
    assert here['paper_ms'] == 15.2 and here['paper_speedup'] == pytest.approx(12.1, abs=0.01)
    best = max(row['over_best'] / row['speedup'] for row in rows[:2])
    assert best == pytest.approx(1)
    assert reference['paper_ms'] == 184 and 'speedup' not in reference
    assert all('paper_ms' not in row for row in rows[4:])
    first, second = engine_speed.classifier_tables(rows)
    assert '224x224' in first.title and len(first.rows) == len(second.rows) == 4


@pytest.mark.slow
def test_detectors_are_compared_with_pytorch_and_with_torchvision(monkeypatch):
    monkeypatch.setattr(engine_networks, 'FAMILIES', ('light',))
    # in which torchvision's does not run
    rows = engine_speed.measure_detectors([300], ['openvino', 'ncnn'], 1, 1, 1)
    assert [row['engine'] for row in rows] == ['pytorch', 'openvino', 'ncnn', 'pytorch', 'openvino']
    assert ['over_pytorch' in row for row in rows] == [False, True, True, False, True]
    assert ['over_peer' in row for row in rows] == [True, True, False, False, False]
    (table,) = engine_speed.detector_tables(rows)
    assert '300x400, 1 thread' in table.title
