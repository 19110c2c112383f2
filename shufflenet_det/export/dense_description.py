"""What a one-stage detector does after its network, in words that two programs follow.

They are :mod:`.dense` inside the exported file, and :mod:`shufflenet_runtime.dense` outside of it.
"""
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DenseSettings:
    """How the maps of a head become detections.

    A level is maps (A * K, h, w) of class scores, (A * E, h, w) of box numbers and, where there are
    any, (A, h, w) of factors, for A priors at each place.

    Attributes:
        levels: of each its ``strides`` (x, y), ``priors`` (A, 4) of the first place as x1, y1, x2,
            y2 in pixels, of points the same twice, and ``scale``, a unit of its box numbers in
            pixels.
        num_classes: K; one less where there is a background.
        coding: of boxes, by its ``kind``:
            ``deltas`` of the centre in parts of the prior's size, and of the logarithm of that,
            with ``means`` and ``stds``; ``most_log_ratio`` limits the latter, ``most_shift`` the
            former in pixels, or None.
            ``distances`` from the centre of the prior, whose ``order`` says where left, top, right
            and bottom are among the four; of each, logits of 0 to ``bins``, or if that is 0 the
            number itself, or with ``exponential`` its exponential; times ``scale``, and with
            ``of_size`` times the prior's size.
            ``cells``: sigmoids of the place of the centre in a cell, and logarithms of the size in
            parts of the prior's.
            ``corners`` in units of ``scale``, if ``relative`` from the centre of the prior.
        iou_threshold: of non-maximum suppression.
        class_agnostic: whether boxes suppress those of other classes.
        score_threshold: scores are above it.
        score: what makes scores of the K numbers: ``'sigmoid'``, ``'softmax'`` (of one more for the
            background, which is the last) or None: they are scores.
        joined: whether a level is one map (A * (4 + 1 + K), h, w): box numbers, factor, scores.
        factor: what the sigmoid of factors does: multiplies scores ``'before'`` or ``'after'`` they
            are chosen, makes the ``'root'`` of the product before that, or None.
        least_factor: places with less are left out.
        one_class: whether a prior is of its best class alone.
        border: boxes end so many pixels before the end of the image; None to leave them.
        most_priors: of a level that are considered, by their best scores.
        most_scores: of a level, several classes of a prior each on its own.
        most_in_all: as that, of all levels together.
        min_size: boxes must be wider and higher than this many pixels.
        max_per_img: most detections; None for all.
        voting: whether the boxes that are left become means of those near them.
    """

    levels: list[dict[str, Any]]
    num_classes: int
    coding: dict[str, Any]
    iou_threshold: float
    class_agnostic: bool
    score_threshold: float
    score: str | None = 'sigmoid'
    joined: bool = False
    factor: str | None = None
    least_factor: float | None = None
    one_class: bool = False
    border: int | None = 0
    most_priors: int | None = None
    most_scores: int | None = None
    most_in_all: int | None = None
    min_size: float | None = None
    max_per_img: int | None = None
    voting: bool = False

    def as_json(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)
