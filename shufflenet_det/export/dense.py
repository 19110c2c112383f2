"""One-stage detectors as plain tensor code: from an image to its boxes, for export.

The network is the trained model's own. What follows it is what :class:`.DenseSettings` say, which
:mod:`shufflenet_runtime.dense` follows in numpy; a test compares both with MMDetection.
"""
import copy
from collections.abc import Sequence
from typing import Any, Self

from shufflenet_runtime.dense import names_of_maps

import torch
from mmdet.models import SingleStageDetector
from torch import Tensor, nn

from .dense_settings import read_dense
from .operators import class_nms, decode, divide, image_border, top_k, vote
from .preprocessor import PlainPreprocessor, describe_padding

Maps = Sequence[Sequence[Tensor]]


class PlainDenseDetector(nn.Module):
    """A one-stage detector of one image.

    Args:
        model: of MMDetection, in evaluation mode.

    Raises:
        ConfigError: the model has a part that cannot be exported exactly.
    """

    def __init__(self, model: SingleStageDetector) -> None:
        super().__init__()
        self.settings = read_dense(model)
        self.num_classes = self.settings.num_classes
        self.preprocess = PlainPreprocessor(model.data_preprocessor)
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.bbox_head
        self.names = names_of_maps(self.settings.as_json())
        for number, level in enumerate(self.settings.levels):
            priors = torch.tensor(level['priors'])
            self.register_buffer(f'priors{number}', priors, persistent=False)

    def describe(self) -> dict[str, Any]:
        """The settings for :class:`shufflenet_runtime.dense.DenseDetector`."""
        return dict(padding=describe_padding(self.preprocess), **self.settings.as_json())

    def with_padding_outside(self) -> Self:
        """The same for images that come padded, because sizes of a trace are constants."""
        other = copy.copy(self)
        other._modules = dict(self._modules, preprocess=copy.copy(self.preprocess))
        other.preprocess.divisor = 1
        return other

    def maps(self, image: Tensor) -> Maps:
        """The maps of each level, in the order of ``names``, for an image (1, 3, H, W)."""
        kinds = self.head(self.neck(self.backbone(self.preprocess(image))))
        return list(zip(*kinds, strict=True))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: resized (1, 3, H, W), uint8 in the order of channels that the network sees.

        Returns:
            Boxes (N, 4) as x1, y1, x2, y2 in pixels of ``image``, scores (N,) and labels (N,),
            best first.
        """
        settings = self.settings
        found = [self._of_level(level, *maps) for level, maps in enumerate(self.maps(image))]
        scores, factors, labels, boxes = map(torch.cat, zip(*found, strict=True))
        if settings.most_in_all is not None:
            scores, best = top_k(scores, settings.most_in_all)
            factors, labels, boxes = factors[best], labels[best], boxes[best]
        if settings.factor == 'after':
            scores = scores * factors
        if settings.border is not None:
            boxes = boxes.clamp(min=0).minimum(image_border(image) - settings.border)
        if settings.min_size is not None:
            large = (boxes[:, 2:] - boxes[:, :2] > settings.min_size).all(1)
            large = large.nonzero().squeeze(1)
            scores, labels, boxes = scores[large], labels[large], boxes[large]
        keep = class_nms(
            boxes, scores, None if settings.class_agnostic else labels, settings.iou_threshold,
            settings.max_per_img,
        )  # fmt: skip
        kept = boxes[keep]
        if settings.voting:
            kept = vote(kept, labels[keep], boxes, labels, scores)
        return kept, scores[keep], labels[keep]

    def _of_level(self, level: int, *maps: Tensor) -> tuple[Tensor, ...]:
        """Scores (N,), factors (N,), labels (N,) and boxes (N, 4) of the best of a level."""
        settings, count = self.settings, len(getattr(self, f'priors{level}'))
        height, width = maps[0].shape[2:]
        if settings.joined:
            joined = maps[0].reshape(count, -1, height, width)
            maps = joined[:, 5:], joined[:, :4].reshape(1, -1, height, width), joined[:, 4]
        classes = settings.num_classes + (settings.score == 'softmax')
        # (A, K, h, w) to (h, w, A, K): by place and then by prior, as MMDetection has them
        numbers = maps[0].reshape(count, classes, height, width).permute(2, 3, 0, 1)
        scores = numbers.reshape(-1, classes)
        factors = scores[:, 0]
        if settings.factor:
            factors = maps[2].reshape(count, height, width).permute(1, 2, 0).reshape(-1).sigmoid()
        scores = self._scores(scores, factors[:, None])
        priors = None
        if settings.most_priors is not None:
            priors = top_k(scores.amax(1), settings.most_priors)[1]
            scores = scores[priors]
        width_of_scores, best_class = settings.num_classes, None
        if settings.one_class:
            scores, best_class = scores.max(1)
            width_of_scores = 1
        scores = scores.reshape(-1)
        pairs = (scores > settings.score_threshold).nonzero().squeeze(1)
        scores = scores[pairs]
        if settings.most_scores is not None:
            scores, best = top_k(scores, settings.most_scores)
            pairs = pairs[best]
        chosen, labels = divide(pairs, width_of_scores)
        if best_class is not None:
            labels = best_class[chosen]
        if priors is not None:
            chosen = priors[chosen]
        place, prior = divide(chosen, count)
        return scores, factors[chosen], labels, self._boxes(level, maps[1], place, prior)

    def _scores(self, numbers: Tensor, factors: Tensor) -> Tensor:
        """Scores (P, C) of numbers (P, K) and factors (P, 1)."""
        settings = self.settings
        scores = numbers
        if settings.score == 'sigmoid':
            scores = numbers.sigmoid()
        elif settings.score == 'softmax':
            scores = numbers.softmax(1)[:, : settings.num_classes]
        if settings.least_factor is not None:
            scores = scores * (factors >= settings.least_factor)
        if settings.factor in ('before', 'root'):
            scores = scores * factors
        return scores.sqrt() if settings.factor == 'root' else scores

    def _boxes(self, level: int, maps: Tensor, place: Tensor, prior: Tensor) -> Tensor:
        """Boxes (N, 4) of priors at places, both (N,)."""
        about, base = self.settings.levels[level], getattr(self, f'priors{level}')
        height, width = maps.shape[2:]
        numbers = maps.shape[1] // len(base)
        y, x = divide(place, width)
        stride_x, stride_y = about['strides']
        x, y = x.float() * stride_x, y.float() * stride_y
        priors = base[prior] + torch.stack([x, y, x, y], dim=1)
        # out of (A * E, H, W), without bringing all of it into the order of priors
        channels = prior[:, None] * numbers + torch.arange(numbers)
        found = maps.flatten()[channels * (height * width) + place[:, None]]
        return decoded(priors, found, self.settings.coding, about['scale'], about['strides'])


class MapNetwork(nn.Module):
    """The network alone: an image to the maps of all levels.

    Args:
        detector: whose network it is.

    Attributes:
        outputs: names of the maps, with the numbers of their levels.
    """

    def __init__(self, detector: PlainDenseDetector) -> None:
        super().__init__()
        self.detector = detector
        levels = range(len(detector.settings.levels))
        self.outputs = [f'{name}{number}' for number in levels for name in detector.names]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """An image (1, 3, H, W), padded, to maps (1, C, h, w)."""
        return tuple(x for maps in self.detector.maps(image) for x in maps)


def decoded(
    priors: Tensor, numbers: Tensor, coding: dict[str, Any], scale: float, strides: list[float]
) -> Tensor:
    """Boxes (N, 4) of priors (N, 4) and their box numbers (N, E), not clipped.

    Args:
        coding, scale, strides: of :class:`.DenseSettings` and of the level.
    """
    kind = coding['kind']
    centre, size = (priors[:, :2] + priors[:, 2:]) * 0.5, priors[:, 2:] - priors[:, :2]
    if kind == 'deltas':
        return decode(
            priors, numbers, coding['means'], coding['stds'], None,
            coding['most_log_ratio'], coding['most_shift'],
        )  # fmt: skip
    if kind == 'cells':
        centre = centre + (numbers[:, :2].sigmoid() - 0.5) * numbers.new_tensor(strides)
        half = size * 0.5 * numbers[:, 2:].exp()
        return torch.cat([centre - half, centre + half], dim=1)
    if kind == 'corners':
        # OpenVINO asks how many numbers a box has, which sampled maps do not say
        corners = numbers[:, [0, 1, 2, 3]] * scale
        return corners + torch.cat([centre, centre], 1) if coding['relative'] else corners
    if coding['bins']:
        bins = coding['bins'] + 1
        shares = numbers.reshape(-1, bins).softmax(1)
        numbers = (shares @ torch.arange(bins).float()[:, None]).reshape(-1, 4)
    elif coding['exponential']:
        numbers = numbers.exp()
    distances = numbers[:, coding['order']] * scale
    if coding['of_size']:
        distances = distances * torch.cat([size, size], 1)
    return torch.cat([centre - distances[:, :2], centre + distances[:, 2:]], dim=1)
