"""What follows the network of a one-stage detector gives what MMDetection gives, in both forms."""
import dataclasses

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.export import dense_settings
from shufflenet_det.export.agreement import compare
from shufflenet_det.export.dense import PlainDenseDetector
from shufflenet_runtime.dense import DenseDetector

import numpy as np
import pytest
import torch
from mmdet.models import RetinaHead, SingleStageDetector
from torch import Tensor

from .one_stage import HEADS, STRIDES, build

# of the image, and not a multiple of 32; the maps are those of 160x224
HEIGHT, WIDTH = 150, 200
PLACES = {stride: (-(-160 // stride), -(-224 // stride)) for stride in STRIDES}


def random_maps(family: str, plain: PlainDenseDetector, seed: int) -> list[list[Tensor]]:
    """Maps of all levels by their kind, as a head gives them."""
    generator = torch.Generator().manual_seed(seed)

    def normal(channels: int, size: tuple[int, int], mean: float, deviation: float) -> Tensor:
        return torch.randn(1, channels, *size, generator=generator) * deviation + mean

    settings = plain.settings
    kinds: list[list[Tensor]] = [[] for _ in plain.names]
    for level in settings.levels:
        size, count = PLACES[int(level['strides'][0])], len(level['priors'])
        classes = settings.num_classes + (settings.score == 'softmax')
        numbers = 4 * (settings.coding.get('bins', 0) + 1)
        far = settings.coding['kind'] == 'distances' and not settings.coding['bins']
        if settings.joined:
            maps = normal(count * (5 + classes), size, 0, 1)
            maps.view(count, -1, *size)[:, 5:] *= 2
            kinds[0].append(maps)
            continue
        scores = normal(count * classes, size, -1, 1.5)
        if settings.score is None:
            scores = scores.sigmoid()
        boxes = normal(count * numbers, size, 1.5 if far else 0, 0.5)
        if far and level['scale'] == 1 and not settings.coding['exponential']:
            boxes = boxes.abs() * 10
        if settings.coding['kind'] == 'corners':
            # the left and upper one first
            middle = 0.0 if settings.coding['relative'] else normal(2, size, 8, 4)
            half = normal(2, size, 3, 1).abs()
            boxes = torch.cat([middle - half, middle + half], dim=1)
        for kind, value in zip(kinds, (scores, boxes, normal(count, size, 1, 1)), strict=False):
            kind.append(value)
    return kinds


def expected(model: SingleStageDetector, kinds: list[list[Tensor]]) -> dict[str, np.ndarray]:
    found = model.bbox_head.predict_by_feat(
        *[[x.clone() for x in kind] for kind in kinds],
        batch_img_metas=[dict(img_shape=(HEIGHT, WIDTH))],
    )[0]
    return dict(
        boxes=found.bboxes.numpy(), scores=found.scores.numpy(), labels=found.labels.numpy()
    )


def with_torch(plain: PlainDenseDetector, kinds: list[list[Tensor]]) -> dict[str, np.ndarray]:
    plain.maps = lambda image: list(zip(*kinds, strict=True))
    found = plain(torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8))
    return dict(zip(('boxes', 'scores', 'labels'), (x.numpy() for x in found), strict=True))


def with_numpy(plain: PlainDenseDetector, kinds: list[list[Tensor]]) -> dict[str, np.ndarray]:
    levels = [[x[0].numpy() for x in level] for level in zip(*kinds, strict=True)]
    run = DenseDetector(plain.describe(), lambda image: levels)
    return run(np.zeros((1, 3, HEIGHT, WIDTH), np.uint8))


@pytest.mark.parametrize('form', [with_torch, with_numpy], ids=lambda form: form.__name__)
@pytest.mark.parametrize('family', HEADS)
@torch.no_grad()
def test_detections_are_those_of_mmdetection(family, form):
    model = build(family)
    plain = PlainDenseDetector(model)
    for seed in range(3):
        kinds = random_maps(family, plain, seed)
        wanted = expected(model, kinds)
        assert len(wanted['scores']) >= 10 and len(set(wanted['labels'])) == 5
        found = form(plain, kinds)
        difference = compare('detector', wanted, found)
        assert difference.agrees and difference.boxes < 0.01
        assert len(found['scores']) == len(wanted['scores'])
        assert (np.diff(found['scores']) <= 0).all()


@pytest.mark.parametrize('form', [with_torch, with_numpy], ids=lambda form: form.__name__)
@pytest.mark.parametrize('family', ['retinanet', 'yolox', 'yolov3', 'paa'])
@torch.no_grad()
def test_where_nothing_is_there_nothing_is_found(family, form):
    plain = PlainDenseDetector(build(family))
    kinds = random_maps(family, plain, 0)
    kinds = [[x - 50 for x in kind] for kind in kinds]
    found = form(plain, kinds)
    assert [found[name].shape for name in ('boxes', 'scores', 'labels')] == [(0, 4), (0,), (0,)]


class HalfHead(RetinaHead):
    """Says its boxes in twice the pixels: a family that nobody knows."""

    def _bbox_post_process(self, results, **kwargs):
        results.bboxes = results.bboxes * 0.5
        return super()._bbox_post_process(results, **kwargs)


def _half(head, cfg, results):
    found = dense_settings.FAMILIES[dense_settings.BaseDenseHead](head, cfg, results)
    for level in found['levels']:
        level['strides'] = [stride / 2 for stride in level['strides']]
        level['priors'] = [[side / 2 for side in prior] for prior in level['priors']]
    return found | dict(border=None)


@torch.no_grad()
def test_a_family_is_added_in_one_place(monkeypatch):
    coder = dict(type='DeltaXYWHBBoxCoder', clip_border=False, target_stds=[0.1, 0.1, 0.2, 0.2])
    model = build('retinanet', bbox_coder=coder)
    model.bbox_head.__class__ = HalfHead
    with pytest.raises(ConfigError, match='how HalfHead makes boxes is not known'):
        PlainDenseDetector(model)
    monkeypatch.setitem(dense_settings.FAMILIES, HalfHead, _half)
    plain = PlainDenseDetector(model)
    # its maps are for the strides of the head
    wide = [dict(level, strides=[s * 2 for s in level['strides']])
            for level in plain.settings.levels]  # fmt: skip
    settings, plain.settings = plain.settings, dataclasses.replace(plain.settings, levels=wide)
    kinds = random_maps('retinanet', plain, 0)
    plain.settings = settings
    wanted = expected(model, kinds)
    for form in (with_torch, with_numpy):
        assert compare('detector', wanted, form(plain, kinds)).agrees
