"""What is between the networks of a two-stage detector gives what MMDetection gives."""
import copy
from collections.abc import Iterator

from shufflenet_det.export.detector import PlainDetector
from shufflenet_det.export.two_stage import RoINetwork, describe
from shufflenet_runtime.two_stage import Features, TwoStageDetector

import numpy as np
import pytest
import torch
from mmdet.models import TwoStageDetector as Model
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from torch import Tensor

from ..export.detectors import FAMILIES, detector_config

# of the image, and not a multiple of 32
WIDTH, HEIGHT = 200, 150
STRIDES = dict(c4=[16], fpn=[4, 8, 16, 32, 64], light=[8, 16, 32])


@pytest.fixture(scope='module', params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope='module')
def model(family: str) -> Iterator[Model]:
    model = MODELS.build(detector_config(family).model).eval()
    with torch.no_grad():
        yield model


class Networks:
    """Networks that return random values, of the shapes that they have in a detector."""

    def __init__(self, family: str, model: Model, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        # of the padded image, which is 224x160
        sizes = [(-(-160 // stride), -(-224 // stride)) for stride in STRIDES[family]]
        anchors, extractor = model.rpn_head.num_base_priors, model.roi_head.bbox_roi_extractor
        used = sizes[: len(extractor.roi_layers)]
        self.levels = [normal(1, extractor.out_channels, *size) for size in used]
        self.logits = [normal(1, anchors, *size) * 3 for size in sizes]
        self.deltas = [normal(1, anchors * 4, *size) * 0.3 for size in sizes]
        self._normal, self._head = normal, model.roi_head.bbox_head
        self.image: np.ndarray | None = None
        self.rois: np.ndarray | None = None

    def extract(self, image: np.ndarray) -> Features:
        self.image = image
        return Features(*([x[0].numpy() for x in part]
                          for part in (self.levels, self.logits, self.deltas)))  # fmt: skip

    def classify(self, number: int, rois: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.rois = rois
        head = self._head
        boxes = 1 if head.reg_class_agnostic else head.num_classes
        self.scores = self._normal(len(rois), head.num_classes + 1) * 2
        self.offsets = self._normal(len(rois), boxes * 4)
        return self.scores.numpy(), self.offsets.numpy()


def detector(model: Model, networks: Networks) -> TwoStageDetector:
    plain = PlainDetector(copy.deepcopy(model))
    rows = RoINetwork(plain.detect, channels=networks.levels[0].shape[1]).rows
    return TwoStageDetector(describe(plain, rows), networks.extract, networks.classify)


def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (1, 3, HEIGHT, WIDTH), dtype=np.uint8)


def proposals(model: Model, networks: Networks) -> Tensor:
    meta = dict(img_shape=(HEIGHT, WIDTH))
    (found,) = model.rpn_head.predict_by_feat(
        networks.logits, networks.deltas, batch_img_metas=[meta]
    )
    return found.bboxes


def test_proposals_and_their_features_are_those_of_mmdetection(family, model):
    networks = Networks(family, model)
    detector(model, networks)(image())
    boxes = proposals(model, networks)
    expected = model.roi_head.bbox_roi_extractor(networks.levels, bbox2roi([boxes]))
    assert len(boxes) >= 40
    assert networks.rois.shape == tuple(expected.shape)
    np.testing.assert_allclose(networks.rois, expected.numpy(), atol=1e-3)


def test_detections_are_those_of_mmdetection(family, model):
    networks = Networks(family, model)
    found = detector(model, networks)(image())
    (expected,) = model.roi_head.bbox_head.predict_by_feat(
        (bbox2roi([proposals(model, networks)]),), (networks.scores,), (networks.offsets,),
        [dict(img_shape=(HEIGHT, WIDTH))], rcnn_test_cfg=model.roi_head.test_cfg,
    )  # fmt: skip
    assert len(expected) == 100
    assert len(expected.labels.unique()) > 20
    np.testing.assert_allclose(found['scores'], expected.scores.numpy(), atol=1e-5)
    np.testing.assert_allclose(found['boxes'], expected.bboxes.numpy(), atol=1e-2)
    assert found['labels'].tolist() == expected.labels.tolist()


def test_images_are_padded_with_what_becomes_the_padding_value():
    options = {'model.data_preprocessor.pad_value': 0.5}
    model = MODELS.build(detector_config('light', **options).model).eval()
    networks = Networks('light', model)
    detector(model, networks)(image())
    assert networks.image.dtype == np.float32 and networks.image.shape == (3, 160, 224)
    assert (networks.image[:, :HEIGHT, :WIDTH] == image()[0]).all()
    mean, std = ([getattr(model.data_preprocessor, x).numpy()[:, 0, 0]] for x in ('mean', 'std'))
    normalised = (networks.image - np.transpose([mean])) / np.transpose([std])
    border = np.ones((160, 224), bool)
    border[:HEIGHT, :WIDTH] = False
    np.testing.assert_allclose(normalised[:, border], 0.5, atol=1e-5)


def test_without_proposals_nothing_is_detected():
    options = {'model.test_cfg.rpn.min_bbox_size': WIDTH}
    model = MODELS.build(detector_config('light', **options).model).eval()
    networks = Networks('light', model)
    found = detector(model, networks)(image())
    assert networks.rois is None
    assert {name: (x.shape, x.dtype) for name, x in found.items()} == {
        'boxes': ((0, 4), np.float32), 'scores': ((0,), np.float32), 'labels': ((0,), np.int64),
    }  # fmt: skip
    assert not len(proposals(model, networks))
