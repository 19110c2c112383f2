"""The parts of a detector are measured where they run, and what is measured is the detector."""
from shufflenet_det.benchmark import detector_parts
from shufflenet_det.benchmark.detector_parts import PARTS, build, measure, parse_args

import pytest
import torch
from mmdet.testing import demo_mm_inputs

from ..conftest import ROOT

CONFIG = str(ROOT / 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-1x-g3_light_2x_coco-300.py')


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_every_part_is_measured_once(monkeypatch, one_thread):
    arguments = ['detector_parts', CONFIG, '--shape', '96', '128', '--rounds', '1']
    monkeypatch.setattr('sys.argv', arguments)
    ours, peer = measure(parse_args()).rows
    assert all(ours[part] > 0 for part in PARTS)
    assert sum(ours[part] for part in PARTS) <= ours['total']
    assert peer['name'] == detector_parts.PEER
    assert peer['ratio'] == 1
    assert ours['ratio'] == pytest.approx(ours['total'] / peer['total'])


def test_folding_changes_no_detection_and_random_weights_make_proposals():
    inputs = demo_mm_inputs(1, [[3, 96, 128]])
    outputs = []
    for fuse in (False, True):
        torch.manual_seed(0)
        model = build(CONFIG, None, fuse)
        data = model.data_preprocessor(inputs, False)
        with torch.no_grad():
            features = model.extract_feat(data['inputs'])
            (proposals,) = model.rpn_head.predict(features, data['data_samples'])
        assert len(proposals) > 50
        outputs.append(features)
    for plain, folded in zip(*outputs, strict=True):
        torch.testing.assert_close(plain, folded, atol=1e-4, rtol=1e-4)
