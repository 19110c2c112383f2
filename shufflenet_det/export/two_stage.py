"""A two-stage detector in its networks, for engines that run networks and no more.

What is between them is :mod:`shufflenet_runtime.two_stage`.
"""
import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from torch import Tensor, nn

from .detector import DetectionStage, PlainDetector, ProposalStage
from .preprocessor import describe_padding


class FeatureNetwork(nn.Module):
    """The first network: all that is done once for an image.

    Args:
        detector: whose networks it shares.
    """

    def __init__(self, detector: PlainDetector) -> None:
        super().__init__()
        # images come padded, because sizes of a trace are constants
        self.preprocess = copy.copy(detector.preprocess)
        self.preprocess.divisor = 1
        self.backbone, self.neck = detector.backbone, detector.neck
        self.head = detector.propose.head
        self.levels = len(detector.detect.layers)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """An image (1, 3, H, W), padded, to its features.

        Returns:
            Levels (1, C, h, w) that RoIs come from, finest first, then of each level of the RPN
            logits (1, A, h, w), then of each its deltas (1, A * 4, h, w).
        """
        levels = self.neck(self.backbone(self.preprocess(image)))
        logits, deltas = zip(*map(self.head.forward_single, levels), strict=True)
        return (*levels[: self.levels], *logits, *deltas)


class RoINetwork(nn.Module):
    """The second network: all that is done for each RoI; in a cascade one for each head.

    Args:
        stage: whose networks it shares.
        channels: of the levels.
        number: of the head.

    Attributes:
        rows: whether it takes RoIs as rows (P, C * h * w), as many as there are, because it is
            linear layers alone; else one as (1, C, h, w).
        shape: of an input; pnnx would take a single row for a batch of vectors.
    """

    def __init__(self, stage: DetectionStage, channels: int, number: int = 0) -> None:
        super().__init__()
        self.shared, self.head = stage.shared, stage.heads[number]
        self.rows = isinstance(self.shared, nn.Identity) and _is_linear(self.head)
        height, width = stage.layers[0].output_size
        self.shape = (2, channels * height * width) if self.rows else (1, channels, height, width)

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """Features of RoIs to logits (P, classes + 1) and deltas (P, 4 or classes * 4)."""
        return self.head(self.shared(rois))


def _is_linear(head: nn.Module) -> bool:
    """Whether a head begins with a linear layer, so that there are no convolutions."""
    return (
        isinstance(head, ConvFCBBoxHead)
        and head.num_shared_fcs > 0
        and head.num_shared_convs == 0
        and not head.with_avg_pool
    )


def describe(detector: PlainDetector, rows: bool) -> dict[str, Any]:
    """The settings for :class:`shufflenet_runtime.two_stage.TwoStageDetector`.

    Args:
        detector: the detector.
        rows: as of :class:`RoINetwork`.
    """
    boxes = [
        dict(class_agnostic_boxes=head.reg_class_agnostic, **_coding(coding))
        for head, coding in zip(detector.detect.heads, detector.detect.codings, strict=True)
    ]
    return dict(
        padding=describe_padding(detector.preprocess),
        proposals=_proposals(detector.propose),
        rois=dict(_rois(detector.detect), rows=rows),
        refinements=boxes[:-1],
        detections=dict(
            num_classes=detector.detect.heads[-1].num_classes,
            **boxes[-1],
            **asdict(detector.detect.settings),
        ),
    )


def _proposals(stage: ProposalStage) -> dict[str, Any]:
    levels = range(len(stage.strides))
    return dict(
        strides=[list(map(int, stride)) for stride in stage.strides],
        anchors=[getattr(stage, f'anchors{level}').tolist() for level in levels],
        **_coding(stage.coding),
        **asdict(stage.settings),
    )


def _rois(stage: DetectionStage) -> dict[str, Any]:
    layer = stage.layers[0]
    height, width = layer.output_size
    return dict(
        scales=[layer.spatial_scale for layer in stage.layers],
        height=height,
        width=width,
        sampling_ratio=layer.sampling_ratio,
        aligned=layer.aligned,
        finest_scale=stage.finest_scale,
    )


def _coding(coding: tuple[Sequence[float], Sequence[float]]) -> dict[str, Any]:
    means, stds = map(list, coding)
    return dict(means=means, stds=stds)
