import re

from shufflenet_det.benchmark import detector_parts, timing
from shufflenet_det.benchmark import measure as measuring
from shufflenet_det.benchmark.detector_parts import (
    BACKWARD,
    DATA,
    OTHER,
    TOTAL,
    Tracer,
    fixed_boxes,
)
from shufflenet_det.benchmark.detectors import find_detectors
from shufflenet_det.benchmark.measure import measure
from shufflenet_det.benchmark.speed import Setting
from shufflenet_det.benchmark.speed_report import parts_tables, plot, speed_table
from shufflenet_det.common.config import CONFIGS
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.tables import as_text

import pytest
import torch
from torch import nn

TORCHVISION = 'torchvision:fasterrcnn_mobilenet_v3_large_320_fpn'
SIZE = (64, 96)


def config(kind: str) -> str:
    return str(CONFIGS / 'faster_rcnn' / f'faster-rcnn_shufflenet-v1-0.5x-g3_{kind}_2x_coco-300.py')


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, 'SHORTEST_TURN', 0)
    monkeypatch.setitem(measuring.MATMUL_SIZE, 'cpu', 16)


@pytest.mark.parametrize('kind', ['c4', 'fpn'])
def test_twin_is_the_same_detector(kind):
    pytest.importorskip('mmpretrain')
    ours, twin = find_detectors([config(kind)], peer_backbone=True, proposals=20)
    assert ours.twin == twin.name
    losses, scores = [], []
    for side in (ours, twin):
        model = side.build(SIZE)
        side.finish(model, SIZE)
        kinds = type(model.backbone).mro()
        assert any(kind.__module__.startswith('mmpretrain') for kind in kinds) == (side is twin)
        batch = side.batch(SIZE, 1, 'cpu')
        with torch.no_grad():
            result = model.eval().test_step(batch)[0].pred_instances
            scores.append(result.scores)
            torch.manual_seed(0)
            losses.append(side.loss(model.train(), batch))
    torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', [config('c4'), TORCHVISION])
def test_second_stage_runs_on_the_stated_number_of_boxes(name):
    (side,) = find_detectors([name], proposals=7)
    model = side.build(SIZE).eval()
    side.finish(model, SIZE)
    head = model.roi_heads.box_head if name == TORCHVISION else model.roi_head.bbox_head
    seen = []
    head.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    with torch.no_grad():
        side.predict(model, side.batch(SIZE, 2, 'cpu'))
    assert seen == [2 * 7] and side.proposals(training=False) == 7
    assert side.count(SIZE) > 1e6


def test_torchvision_is_trained_on_the_stated_number_of_boxes():
    (side,) = find_detectors([TORCHVISION])
    model = side.build(SIZE).train()
    side.finish(model, SIZE)
    given = []
    model.roi_heads.register_forward_pre_hook(lambda _, inputs: given.append(len(inputs[1][0])))
    with torch.no_grad():
        loss = side.loss(model, side.batch(SIZE, 1, 'cpu'))
    assert loss.isfinite() and given == [side.proposals(training=True)] == [2000]


def test_fixed_boxes_are_inside_of_the_image_and_always_the_same():
    boxes = fixed_boxes(100, SIZE)
    assert (boxes >= 0).all() and (boxes[:, 2] <= 96).all() and (boxes[:, 3] <= 64).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    torch.testing.assert_close(boxes, fixed_boxes(100, SIZE))


def test_time_of_a_part_within_another_counts_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(detector_parts.time, 'perf_counter', lambda: now[0])

    class Sleeper(nn.Module):
        def __init__(self, seconds: float, inner: nn.Module | None = None) -> None:
            super().__init__()
            self.seconds, self.inner = seconds, inner

        def forward(self) -> None:
            now[0] += self.seconds
            if self.inner:
                self.inner()

    model = Sleeper(1, Sleeper(2, Sleeper(4)))
    tracer = Tracer('cpu')
    parts = {'inner': {'forward': 'a'}, 'inner.inner': {'forward': 'b'}, 'none': {'forward': 'c'}}
    with tracer.watching(model, parts):
        model()
    assert tracer.seconds == {OTHER: 1, 'a': 2, 'b': 4}
    model()
    assert sum(tracer.seconds.values()) == 7 and 'forward' not in vars(model.inner)


def test_every_side_has_its_rows_and_parts(tmp_path):
    settings = [Setting(1, SIZE, 1, 'fp32', 'cpu')]
    sides = find_detectors([config('fpn'), TORCHVISION], proposals=10)
    # fewer RoIs than 512
    sides[0].cfg.model.train_cfg.rcnn.sampler.num = 16
    rows = measure(sides, settings, ('forward',), rounds=1, warmup=1, by_part=True)
    rows[1:1] = measure(sides[:1], settings, ('train',), rounds=1, warmup=1, by_part=True)
    assert [row['name'] for row in rows] == [sides[0].name, sides[0].name, TORCHVISION]
    assert [row['mode'] for row in rows] == ['forward', 'train', 'forward']
    assert ['ratio' in row for row in rows] == [False, False, True]
    for row in rows:
        parts = row['parts']
        assert {DATA, 'preprocessing', 'backbone', 'neck', 'RPN: head', OTHER, TOTAL} <= set(parts)
        assert ('post-processing' in parts) or row['mode'] == 'train'
        assert (BACKWARD in parts) == ('memory' in row) == (row['mode'] == 'train')
        shown = sum(s for part, s in parts.items() if part not in (DATA, TOTAL))
        assert parts[TOTAL] == pytest.approx(shown)
        assert ('share' in row) == ('detections' in row) == (row['mode'] == 'forward')
        assert row['proposals'] == 10 or row['mode'] == 'train'
    text = as_text([speed_table('Detectors', rows), *parts_tables(rows)])
    assert re.search(r'_fpn_2x_coco-300 by part, medians: batch 1, 64x96', text)
    plot(rows, tmp_path / 'speed.png')
    assert (tmp_path / 'speed.png').stat().st_size > 1000


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('configs/faster_rcnn_shufflenett.py', 'config file not found'),
        ('torchvision:fasterrcnn_mobilenet_v3_large_320', 'mean torchvision:fasterrcnn_mob'),
    ],
)
def test_detectors_that_are_not_there(name, message):
    with pytest.raises(ConfigError, match=message):
        find_detectors([name])


def test_peer_for_none_of_the_configs():
    with pytest.raises(ConfigError, match='no config has a ShuffleNetV1'):
        find_detectors([TORCHVISION], peer_backbone=True)
