import json
from pathlib import Path

from shufflenet_det.evaluation.pictures import contact_sheet
from shufflenet_det.evaluation.report import annotations_of, resolution_of, sha256_of

import cv2
import pytest
from mmengine.config import Config

from ..conftest import ROOT, write_coco


@pytest.mark.parametrize(('resolution', 'expected'), [(300, [500, 300]), (600, [1000, 600])])
def test_resolution_is_that_of_the_test_pipeline(resolution, expected):
    name = f'faster-rcnn_shufflenet-v1-1x-g3_fpn_2x_coco-{resolution}.py'
    assert resolution_of(Config.fromfile(ROOT / 'configs' / 'faster_rcnn' / name)) == expected


def test_number_as_a_scale_is_a_square():
    resize = dict(type='Resize', scale=640, keep_ratio=True)
    assert resolution_of(Config(dict(test_dataloader=dict(dataset=dict(pipeline=[resize]))))) == [
        640, 640,
    ]  # fmt: skip


def test_annotations_are_those_of_the_evaluator_that_has_some():
    coco = dict(type='CheckedCocoMetric', ann_file='val.json')
    for evaluator in (coco, [dict(type='DumpResults'), coco]):
        assert annotations_of(Config(dict(test_evaluator=evaluator))) == 'val.json'
    assert annotations_of(Config(dict(test_evaluator=[]))) is None


def test_hash_of_what_is_elsewhere_is_unknown(tmp_path: Path):
    (tmp_path / 'x').write_bytes(b'abc')
    assert sha256_of(tmp_path / 'x').startswith('ba7816bf')
    assert sha256_of('https://example.org/x') is None


@pytest.mark.parametrize('with_detections', [True, False])
def test_contact_sheet_shows_ground_truth_beside_detections(tmp_path: Path, with_detections):
    root = write_coco(tmp_path / 'coco', ('a', 'b'))
    detection = dict(image_id=1, category_id=1, bbox=[5, 5, 40, 40], score=0.9)
    results = tmp_path / 'results.json'
    results.write_text(json.dumps([detection] if with_detections else []))
    annotations = root / 'annotations' / 'instances_val2017.json'
    contact_sheet(annotations, root / 'val2017', results, tmp_path / 'sheet.png', 2, width=160)
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert sheet.shape == (2 * (120 + 24 + 6), 2 * (160 + 6), 3)
    left, right = sheet[24:144, 3:163], sheet[24:144, 169:329]
    assert (left != right).any()
