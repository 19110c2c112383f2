"""What is between the networks of a detector, as operators of ONNX.

In numpy, for engines that cannot hold it, the same is in :mod:`shufflenet_runtime.boxes` and
:mod:`shufflenet_runtime.roi_align`; both are tested with one table of cases.

Run by torch they do what MMDetection does, so a network made of them can be compared with
MMDetection's before it is exported. Exported, each is a standard operator of ONNX (opset 16), and
no number of the example image gets into the graph.
"""
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from mmcv.ops import nms as mmcv_nms
from torch import Tensor
from torch.autograd import Function
from torchvision.ops import roi_align as torchvision_roi_align

# of `DeltaXYWHBBoxCoder.decode`
_MAX_LOG_RATIO = abs(math.log(16 / 1000))
# below every score and every logit
_NO_SCORE = -1e30
_ALL = 2**31 - 1
_explicit = ContextVar('_explicit', default=False)


@contextmanager
def first_of_equal() -> Iterator[None]:
    """Export :func:`top_k` for an engine whose TopK takes any of equal values: OpenVINO's.

    There it finds the least value, and what is taken of those equal to it is written out. The
    result is in the order of the indices; what follows here sorts it by itself. (OpenVINO has a
    ``stable`` TopK, which takes hundreds of times as long.)
    """
    token = _explicit.set(True)
    try:
        yield
    finally:
        _explicit.reset(token)


def top_k(values: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The ``limit`` largest values, or all if there are fewer, largest first.

    Of equal values the first comes first.

    Args:
        values: (N,).
        limit: most values to take.

    Returns:
        Values (K,) and their indices (K,), K = min(N, limit).
    """
    return _TopK.apply(values, limit)


def decode(
    boxes: Tensor,
    deltas: Tensor,
    means: Sequence[float],
    stds: Sequence[float],
    border: Tensor | None,
    most_log_ratio: float | None = _MAX_LOG_RATIO,
    most_shift: float | None = None,
) -> Tensor:
    """Boxes that deltas make of others (``DeltaXYWHBBoxCoder``).

    Args:
        boxes: (N, 4) as x1, y1, x2, y2 in pixels.
        deltas: (N, 4), of the centre in parts of the size, and of the logarithm of the size.
        means, stds: four numbers each, of the deltas.
        border: (4,), width, height, width, height of the image, to which boxes are clipped; None
            to leave them.
        most_log_ratio: limit of the logarithm; None for none.
        most_shift: limit of the centre's way in pixels, as YOLOF has it; None for none.

    Returns:
        (N, 4).
    """
    if any(std != 1 for std in stds):
        deltas = deltas * deltas.new_tensor(stds)
    if any(mean != 0 for mean in means):
        deltas = deltas + deltas.new_tensor(means)
    centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
    size = boxes[:, 2:] - boxes[:, :2]
    shift, logarithm = size * deltas[:, :2], deltas[:, 2:]
    if most_shift is not None:
        shift = shift.clamp(-most_shift, most_shift)
    if most_log_ratio is not None:
        least = -most_log_ratio if most_shift is None else None
        logarithm = logarithm.clamp(least, most_log_ratio)
    centre, half = centre + shift, size * logarithm.exp() * 0.5
    found = torch.cat([centre - half, centre + half], dim=1)
    return found if border is None else found.clamp(min=0).minimum(border)


def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int, score_threshold: float
) -> Tensor:
    """Keep the boxes that no better box overlaps by more than a threshold.

    Args:
        boxes: (N, 4) as x1, y1, x2, y2 in pixels.
        scores: (N,).
        iou_threshold: a box is dropped above it, not at it.
        limit: most boxes to keep.
        score_threshold: boxes with this score or less are not considered.

    Returns:
        Indices (K,) of the kept boxes, best first, K at most ``limit``.
    """
    return _NonMaxSuppression.apply(boxes, scores, iou_threshold, limit, score_threshold)


def class_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    limit: int | None,
) -> Tensor:
    """:func:`nms` for each class on its own; labels (N,) are None for all together."""
    if labels is not None:
        # as `batched_nms` does it; the zero is for an image without detections
        span = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).amax() + 1
        boxes = boxes + (labels * span)[:, None]
    return nms(boxes, scores, iou_threshold, _ALL if limit is None else limit, _NO_SCORE)


def vote(
    kept: Tensor, kept_labels: Tensor, boxes: Tensor, labels: Tensor, scores: Tensor
) -> Tensor:
    """Means (K, 4) of all boxes (N, 4) of the class of each kept one (``PAAHead.score_voting``).

    They weigh ``exp(-(1 - IoU) ** 2 / 0.025) * score`` where the IoU is above 0.01.
    """
    low = kept[:, None, :2].maximum(boxes[:, :2])
    high = kept[:, None, 2:].minimum(boxes[:, 2:])
    width, height = (high - low).clamp(min=0).unbind(2)
    common = width * height
    union = _areas(kept)[:, None] + _areas(boxes) - common
    ious = common / union.clamp(min=1e-6)
    near = (ious > 0.01) & (kept_labels[:, None] == labels)
    weights = torch.exp(-((1 - ious) ** 2) / 0.025) * scores * near
    return weights @ boxes / weights.sum(1, keepdim=True)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def divide(numbers: Tensor, by: int | Tensor) -> tuple[Tensor, Tensor]:
    """Quotient and remainder of numbers that are not negative."""
    quotient = torch.div(numbers, by, rounding_mode='trunc')
    return quotient, numbers - quotient * by


def image_border(image: Tensor) -> Tensor:
    """Width, height, width and height (4,) of images (N, C, H, W)."""
    # in a trace sizes are tensors already
    height, width = map(torch.as_tensor, image.shape[2:])
    return torch.stack([width, height, width, height]).float()


def roi_align(
    features: Tensor,
    boxes: Tensor,
    bins: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Features of boxes in one image, by bilinear sampling and averaging (mmcv's ``RoIAlign``).

    Args:
        features: (1, C, H, W).
        boxes: (K, 4) as x1, y1, x2, y2 in pixels of the image.
        bins: height and width of the result.
        spatial_scale: pixels of the features for a pixel of the image.
        sampling_ratio: samples of a bin in each direction; 0 for as many as it has pixels.
        aligned: whether pixels lie half a pixel off their index.

    Returns:
        (K, C, height, width).
    """
    return _RoIAlign.apply(features, boxes, tuple(bins), spatial_scale, sampling_ratio, aligned)


def _constant(g: Any, values: Sequence, dtype: torch.dtype = torch.int64) -> Any:
    return g.op('Constant', value_t=torch.tensor(values, dtype=dtype))


def _integers(g: Any, flags: Any) -> Any:
    return g.op('Cast', flags, to_i=torch.onnx.TensorProtoDataType.INT64)


class _TopK(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        # torch's own topk takes any of equal values
        best, indices = values.sort(descending=True, stable=True)
        return best[:limit], indices[:limit]

    @staticmethod
    def symbolic(g: Any, values: Any, limit: int) -> tuple[Any, Any]:
        count = g.op('Min', _constant(g, [limit]), g.op('Shape', values))
        best, indices = g.op('TopK', values, count, outputs=2)
        if _explicit.get():
            least = g.op('ReduceMin', best, keepdims_i=1)
            above, equal = g.op('Greater', values, least), g.op('Equal', values, least)
            number = g.op('CumSum', _integers(g, equal), _constant(g, 0))
            room = g.op('Sub', count, g.op('ReduceSum', _integers(g, above), keepdims_i=1))
            first = g.op('And', equal, g.op('LessOrEqual', number, room))
            indices = g.op('NonZero', g.op('Or', above, first))
            indices = g.op('Squeeze', indices, _constant(g, [0]))
            best = g.op('Gather', values, indices)
        best.setType(values.type().with_sizes([None]))
        indices.setType(values.type().with_sizes([None]).with_dtype(torch.int64))
        return best, indices


class _NonMaxSuppression(Function):
    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int, least: float
    ) -> Tensor:
        candidates = (scores > least).nonzero().squeeze(1)
        _, keep = mmcv_nms(boxes[candidates], scores[candidates], iou_threshold)
        return candidates[keep[:limit]]

    @staticmethod
    def symbolic(
        g: Any, boxes: Any, scores: Any, iou_threshold: float, limit: int, least: float
    ) -> Any:
        # (1, N, 4) and (1, 1, N): one image and one class. The IoU does not mind that x comes
        # before y here
        selected = g.op(
            'NonMaxSuppression',
            g.op('Unsqueeze', boxes, _constant(g, [0])),
            g.op('Unsqueeze', scores, _constant(g, [0, 1])),
            _constant(g, [limit]),
            _constant(g, [iou_threshold], torch.float32),
            _constant(g, [least], torch.float32),
        )
        # rows of image, class, box
        indices = g.op('Gather', selected, _constant(g, 2), axis_i=1)
        indices.setType(scores.type().with_sizes([None]).with_dtype(torch.int64))
        return indices


class _RoIAlign(Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        boxes: Tensor,
        bins: tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> Tensor:
        # torchvision's adaptive number of samples is -1, mmcv's and that of ONNX is 0
        samples = sampling_ratio if sampling_ratio > 0 else -1
        return torchvision_roi_align(features, [boxes], bins, spatial_scale, samples, aligned)

    @staticmethod
    def symbolic(
        g: Any,
        features: Any,
        boxes: Any,
        bins: tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> Any:
        count = g.op('Gather', g.op('Shape', boxes), _constant(g, [0]), axis_i=0)
        image = g.op('ConstantOfShape', count, value_t=torch.tensor([0]))
        pooled = g.op(
            'RoiAlign',
            features,
            boxes,
            image,
            mode_s='avg',
            coordinate_transformation_mode_s='half_pixel' if aligned else 'output_half_pixel',
            output_height_i=bins[0],
            output_width_i=bins[1],
            sampling_ratio_i=max(sampling_ratio, 0),
            spatial_scale_f=spatial_scale,
        )
        # the number of channels stays what shape inference makes of it
        pooled.setType(boxes.type().with_sizes([None, None, *bins]))
        return pooled
