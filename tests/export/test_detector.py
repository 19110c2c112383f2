"""Exported detectors find what MMDetection finds."""
import copy
from collections.abc import Callable
from pathlib import Path

from shufflenet_det.export.agreement import compare
from shufflenet_det.export.detector import PlainDetector
from shufflenet_det.export.networks import Exportable, exportable
from shufflenet_det.export.writers import WRITERS
from shufflenet_det.models import switch_to_deploy
from shufflenet_runtime.engines import ENGINES
from shufflenet_runtime.sessions import Session

import numpy as np
import onnx
import pytest
import torch
from mmdet.models import TwoStageDetector

from .detectors import FAMILIES, detector_config, picture, predict, random_detector

# neither is a multiple of 32, and neither is that of the export
SIZES = ((170, 250), (261, 131))

class Case:
    """A detector, what is exported of it, and the engines that have loaded that."""

    def __init__(self, model: TwoStageDetector, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.source: Exportable = exportable(model, None, None)
        for write in WRITERS.values():
            write(self.source, folder)
        self.sessions: dict[str, Session] = {
            name: engine.open(folder, threads=1, shape=(1, 3, *SIZES[0]))
            for name, engine in ENGINES.items()
        }


@pytest.fixture(scope='module')
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    made = {}

    def case(family: str) -> Case:
        if family not in made:
            model = random_detector(detector_config(family))
            made[family] = Case(model, tmp_path_factory.mktemp(family))
        return made[family]

    return case


def as_rgb(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[None, ::-1])


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('family', FAMILIES)
def test_rewritten_code_gives_the_detections_of_mmdetection(cases, family, size):
    case = cases(family)
    image = picture(*size)
    network = PlainDetector(switch_to_deploy(copy.deepcopy(case.model)))
    with torch.no_grad():
        boxes, scores, labels = network(torch.from_numpy(as_rgb(image)))
    found = dict(boxes=boxes.numpy(), scores=scores.numpy(), labels=labels.numpy())
    expected = predict(case.model, image)
    assert len(expected['scores']) == len(found['scores']) > 20
    assert len(set(expected['labels'])) > 5
    difference = compare('detector', expected, found, case.source.description['thresholds'])
    assert difference.agrees
    assert difference.boxes < 0.1


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('family', FAMILIES)
def test_engines_give_the_detections_of_mmdetection(cases, family, size, engine):
    case = cases(family)
    image = picture(*size)
    expected = predict(case.model, image)
    found = case.sessions[engine](as_rgb(image))
    difference = compare('detector', expected, found, case.source.description['thresholds'])
    assert difference.compared > 20
    assert difference.agrees
    assert difference.boxes < 0.1
    assert (np.diff(found['scores']) <= 0).all()
    assert [found[name].dtype for name in ('boxes', 'scores', 'labels')] == [
        np.float32, np.float32, np.int64,
    ]  # fmt: skip


@pytest.mark.parametrize('family', FAMILIES)
def test_only_operators_of_onnx_are_used(cases, family):
    model = onnx.load(cases(family).folder / 'model.onnx')
    assert {node.domain for node in model.graph.node} == {''}
    assert [opset.domain for opset in model.opset_import] == ['']
    used = {node.op_type for node in model.graph.node}
    assert {'RoiAlign', 'NonMaxSuppression', 'Conv'} <= used
    # batch norms are folded into the convolutions
    assert 'BatchNormalization' not in used
    (image,) = model.graph.input
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert sizes == [1, 3, 'height', 'width']


def test_an_image_without_detections_gives_none(tmp_path):
    model = random_detector(detector_config('light'))
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.bias[-1] = 50
    case = Case(model, tmp_path)
    # a single pixel is enough for an image
    for size in ((120, 200), (1, 1)):
        image = picture(*size)
        assert len(predict(model, image)['scores']) == 0
        for session in case.sessions.values():
            found = session(as_rgb(image))
            assert {name: x.shape for name, x in found.items()} == {
                'boxes': (0, 4), 'scores': (0,), 'labels': (0,),
            }  # fmt: skip


def test_other_settings_of_the_config_are_followed(tmp_path):
    model = random_detector(
        detector_config(
            'light',
            **{
                'model.roi_head.bbox_head.reg_class_agnostic': True,
                'model.test_cfg.rcnn.nms.class_agnostic': True,
                'model.test_cfg.rcnn.score_thr': 0.2,
                'model.test_cfg.rcnn.max_per_img': 15,
                'model.test_cfg.rpn.min_bbox_size': 20,
                'model.data_preprocessor.bgr_to_rgb': False,
                'model.data_preprocessor.pad_size_divisor': 1,
            },
        )
    )
    case = Case(model, tmp_path)
    image = picture(200, 260)
    expected = predict(model, image)
    assert 5 < len(expected['scores']) <= 15
    for session in case.sessions.values():
        assert compare('detector', expected, session(image[None])).agrees


@pytest.mark.parametrize('family', ['fpn', 'light'])
def test_of_equal_scores_all_engines_take_the_first(tmp_path, family):
    """A first stage that finds all places equally good, and keeps a part of them."""
    few = {'model.test_cfg.rpn.nms_pre': 60, 'model.test_cfg.rpn.max_per_img': 40}
    model = random_detector(detector_config(family, **few))
    for tensor in model.rpn_head.rpn_cls.parameters():
        tensor.detach().zero_()
    case = Case(model, tmp_path)
    first, *others = (run(as_rgb(picture(170, 250))) for run in case.sessions.values())
    assert len(first['scores']) > 10
    for found in others:
        difference = compare('detector', first, found, case.source.description['thresholds'])
        assert difference.agrees and difference.boxes < 0.1
