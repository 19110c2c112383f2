"""Two-stage detectors as plain tensor code: from an image to its boxes, for export.

The networks are the trained model's own, the code between them is MMDetection's rewritten without
lists of structures, so that it traces. It gives the same detections: a test compares them.
"""
import torch
from mmdet.models import RPNHead, StandardRoIHead, TwoStageDetector
from torch import Tensor, nn

from .detector_settings import (
    check_detector,
    read_detection_settings,
    read_proposal_settings,
)
from .operators import decode, nms, roi_align, top_k
from .preprocessor import PlainPreprocessor


class PlainDetector(nn.Module):
    """A two-stage detector of one image.

    Args:
        model: Faster R-CNN of MMDetection, in evaluation mode.

    Raises:
        ConfigError: the model has a part that cannot be exported exactly.
    """

    def __init__(self, model: TwoStageDetector) -> None:
        super().__init__()
        check_detector(model)
        self.preprocess = PlainPreprocessor(model.data_preprocessor)
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.propose = ProposalStage(model.rpn_head)
        self.detect = DetectionStage(model.roi_head)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: resized (1, 3, H, W), uint8 in the order of channels that the network sees.

        Returns:
            Boxes (N, 4) as x1, y1, x2, y2 in pixels of ``image``, scores (N,) and labels (N,),
            best first.
        """
        height, width = image.shape[2:]
        border = torch.stack([_scalar(width), _scalar(height)] * 2).float()
        levels = self.neck(self.backbone(self.preprocess(image)))
        proposals = self.propose(levels, border)
        return self.detect(levels, proposals, border)


class ProposalStage(nn.Module):
    """An RPN with the choice of its proposals (``RPNHead.predict``)."""

    def __init__(self, head: RPNHead) -> None:
        super().__init__()
        self.settings = read_proposal_settings(head)
        self.head = head
        self.coding = head.bbox_coder.means, head.bbox_coder.stds
        self.strides = head.prior_generator.strides
        for level, anchors in enumerate(head.prior_generator.base_anchors):
            self.register_buffer(f'anchors{level}', anchors.float(), persistent=False)

    def forward(self, levels: tuple[Tensor, ...], border: Tensor) -> Tensor:
        """Features of all levels to proposals (P, 4), inside ``border`` (4,)."""
        found = [self._best(i, *self.head.forward_single(x)) for i, x in enumerate(levels)]
        scores = [level_scores for level_scores, _, _ in found]
        boxes = [decode(a, d, *self.coding, border) for _, a, d in found]
        least = self.settings.min_size
        if least is not None:
            scores = [_without_small(s, b, least) for s, b in zip(scores, boxes, strict=True)]
        # a level at a time, where MMDetection moves the levels apart and takes all at once
        limit = self.settings.max_per_img
        kept = [
            nms(b, s, self.settings.iou_threshold, limit, _NO_SCORE)
            for b, s in zip(boxes, scores, strict=True)
        ]
        if len(kept) == 1:
            return boxes[0][kept[0]]
        scores = torch.cat([s[k] for s, k in zip(scores, kept, strict=True)])
        boxes = torch.cat([b[k] for b, k in zip(boxes, kept, strict=True)])
        return boxes[top_k(scores, limit)[1]]

    def _best(self, level: int, logits: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (K,), anchors (K, 4) and deltas (K, 4) of the best anchors of one level."""
        base = getattr(self, f'anchors{level}')
        height, width = logits.shape[2:]
        # MMDetection compares sigmoids. Where they are near 1 many are equal, and which of them are
        # is a matter of rounding; the order of logits is the same, and no engine's own
        logits, best = top_k(logits.permute(0, 2, 3, 1).flatten(), self.settings.nms_pre)
        place, shape = _divide(best, len(base))
        y, x = _divide(place, width)
        stride_x, stride_y = self.strides[level]
        x, y = x.float() * stride_x, y.float() * stride_y
        anchors = base[shape] + torch.stack([x, y, x, y], dim=1)
        # out of (A * 4, H, W), without bringing all of it into the order of anchors
        channels = shape[:, None] * 4 + torch.arange(4)
        deltas = deltas.flatten()[channels * (height * width) + place[:, None]]
        return logits, anchors, deltas


class DetectionStage(nn.Module):
    """An RoI head with its detections (``StandardRoIHead.predict``)."""

    def __init__(self, roi_head: StandardRoIHead) -> None:
        super().__init__()
        self.settings = read_detection_settings(roi_head)
        extractor = roi_head.bbox_roi_extractor
        self.layers = list(extractor.roi_layers)
        self.finest_scale = extractor.finest_scale
        self.shared = roi_head.shared_head if roi_head.with_shared_head else nn.Identity()
        self.head = roi_head.bbox_head
        self.coding = self.head.bbox_coder.means, self.head.bbox_coder.stds

    def forward(
        self, levels: tuple[Tensor, ...], proposals: Tensor, border: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features and proposals (P, 4) to boxes (N, 4), scores (N,) and labels (N,)."""
        features, rois = self._pool(levels, proposals)
        logits, deltas = self.head(self.shared(features))
        classes = self.head.num_classes
        scores = logits.softmax(1)[:, :classes].flatten()
        candidates = (scores > self.settings.score_threshold).nonzero().squeeze(1)
        scores = scores[candidates]
        roi, labels = _divide(candidates, classes)
        row = roi if self.head.reg_class_agnostic else candidates
        boxes = decode(rois[roi], deltas.reshape(-1, 4)[row], *self.coding, border)
        apart = boxes
        if not self.settings.class_agnostic:
            # as `batched_nms` does it; the zero is for an image without detections
            span = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).amax() + 1
            apart = boxes + (labels * span)[:, None]
        limit = self.settings.max_per_img
        keep = nms(apart, scores, self.settings.iou_threshold, limit, _NO_SCORE)
        return boxes[keep], scores[keep], labels[keep]

    def _pool(self, levels: tuple[Tensor, ...], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """RoI features (P, C, h, w), and the boxes in their order: that of the levels."""
        if len(self.layers) == 1:
            return _align(self.layers[0], levels[0], boxes), boxes
        width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
        # MMDetection takes the logarithm of this, whose rounding differs between engines
        scale = (width * height).sqrt() / self.finest_scale + 1e-6
        level = sum((scale >= 2**number).long() for number in range(1, len(self.layers)))
        parts = [boxes[(level == i).nonzero().squeeze(1)] for i in range(len(self.layers))]
        features = [
            _align(layer, x, part)
            for layer, x, part in zip(self.layers, levels, parts, strict=False)
        ]
        return torch.cat(features), torch.cat(parts)


# below every score and every logit, and above those of boxes that are too small
_NO_SCORE, _DROPPED = -1e30, -2e30


def _align(layer: nn.Module, features: Tensor, boxes: Tensor) -> Tensor:
    return roi_align(
        features,
        boxes,
        layer.output_size,
        layer.spatial_scale,
        layer.sampling_ratio,
        layer.aligned,
    )


def _without_small(scores: Tensor, boxes: Tensor, least: float) -> Tensor:
    large = ((boxes[:, 2:] - boxes[:, :2]) > least).all(1)
    return torch.where(large, scores, scores.new_full((), _DROPPED))


def _divide(numbers: Tensor, by: int | Tensor) -> tuple[Tensor, Tensor]:
    """Quotient and remainder of numbers that are not negative."""
    quotient = torch.div(numbers, by, rounding_mode='trunc')
    return quotient, numbers - quotient * by


def _scalar(number: int | Tensor) -> Tensor:
    # in a trace sizes are tensors already
    return torch.as_tensor(number)
