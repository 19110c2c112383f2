"""Two-stage detectors as plain tensor code: from an image to its boxes, for export.

The networks are the trained model's own, the code between them is MMDetection's rewritten without
lists of structures, so that it traces. It gives the same detections: a test compares them.
"""
import torch
from mmdet.models import CascadeRoIHead, RPNHead, StandardRoIHead, TwoStageDetector
from torch import Tensor, nn

from .detector_settings import (
    check_detector,
    read_detection_settings,
    read_proposal_settings,
    stages_of,
)
from .operators import class_nms, decode, divide, image_border, nms, roi_align, top_k
from .preprocessor import PlainPreprocessor


class PlainDetector(nn.Module):
    """A two-stage detector of one image.

    Args:
        model: Faster or Cascade R-CNN of MMDetection, in evaluation mode.

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
        self.settings = self.detect.settings
        self.num_classes = self.detect.heads[-1].num_classes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: resized (1, 3, H, W), uint8 in the order of channels that the network sees.

        Returns:
            Boxes (N, 4) as x1, y1, x2, y2 in pixels of ``image``, scores (N,) and labels (N,),
            best first.
        """
        border = image_border(image)
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
        place, shape = divide(best, len(base))
        y, x = divide(place, width)
        stride_x, stride_y = self.strides[level]
        x, y = x.float() * stride_x, y.float() * stride_y
        anchors = base[shape] + torch.stack([x, y, x, y], dim=1)
        # out of (A * 4, H, W), without bringing all of it into the order of anchors
        channels = shape[:, None] * 4 + torch.arange(4)
        deltas = deltas.flatten()[channels * (height * width) + place[:, None]]
        return logits, anchors, deltas


class DetectionStage(nn.Module):
    """An RoI head with its detections (``StandardRoIHead.predict``, ``CascadeRoIHead.predict``).

    Attributes:
        heads: box heads in their order; more than one in a cascade.
        codings: means and standard deviations of the deltas of each.
    """

    def __init__(self, roi_head: StandardRoIHead | CascadeRoIHead) -> None:
        super().__init__()
        self.settings = read_detection_settings(roi_head)
        self.heads = nn.ModuleList(stages_of(roi_head, 'bbox_head'))
        extractors = stages_of(roi_head, 'bbox_roi_extractor')
        self.layers = list(extractors[0].roi_layers)
        self.finest_scale = extractors[0].finest_scale
        self.shared = roi_head.shared_head if roi_head.with_shared_head else nn.Identity()
        self.codings = [(head.bbox_coder.means, head.bbox_coder.stds) for head in self.heads]

    def forward(
        self, levels: tuple[Tensor, ...], rois: Tensor, border: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features and proposals (P, 4) to boxes (N, 4), scores (N,) and labels (N,)."""
        total = None
        for number, head in enumerate(self.heads):
            features, rois, order = self._pool(levels, rois)
            logits, deltas = head(self.shared(features))
            if total is not None:
                total = total if order is None else total[order]
            total = logits if total is None else total + logits
            if number < len(self.heads) - 1:
                best = deltas
                if not head.reg_class_agnostic:
                    chosen = logits[:, :-1].argmax(1)[:, None] * 4 + torch.arange(4)
                    best = deltas.gather(1, chosen)
                rois = decode(rois, best, *self.codings[number], border)
        if len(self.heads) > 1:
            total = total / len(self.heads)
        classes = head.num_classes
        scores = total.softmax(1)[:, :classes].flatten()
        candidates = (scores > self.settings.score_threshold).nonzero().squeeze(1)
        scores = scores[candidates]
        roi, labels = divide(candidates, classes)
        row = roi if head.reg_class_agnostic else candidates
        boxes = decode(rois[roi], deltas.reshape(-1, 4)[row], *self.codings[-1], border)
        keep = class_nms(
            boxes, scores, None if self.settings.class_agnostic else labels,
            self.settings.iou_threshold, self.settings.max_per_img,
        )  # fmt: skip
        return boxes[keep], scores[keep], labels[keep]

    def _pool(
        self, levels: tuple[Tensor, ...], boxes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """RoI features (P, C, h, w), the boxes in their order, that of the levels, and which of the
        boxes these are (P,), or None for all as they come."""
        if len(self.layers) == 1:
            return _align(self.layers[0], levels[0], boxes), boxes, None
        width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
        # MMDetection takes the logarithm of this, whose rounding differs between engines
        scale = (width * height).sqrt() / self.finest_scale + 1e-6
        level = sum((scale >= 2**number).long() for number in range(1, len(self.layers)))
        places = [(level == i).nonzero().squeeze(1) for i in range(len(self.layers))]
        parts = [boxes[place] for place in places]
        features = [
            _align(layer, x, part)
            for layer, x, part in zip(self.layers, levels, parts, strict=False)
        ]
        return torch.cat(features), torch.cat(parts), torch.cat(places)


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

