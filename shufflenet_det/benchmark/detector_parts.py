"""Where the time of a detector goes."""
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from .machine import synchronise

Size = tuple[int, int]
"""Height and width in pixels."""
Part = tuple[str, str, str]
"""Path of a module, name of its method, and the part that its time belongs to."""
OTHER, BACKWARD = 'other', 'backward pass'
DATA, TOTAL = 'data (not in the total)', 'total'

MMDET_PARTS: tuple[Part, ...] = (
    ('data_preprocessor', 'forward', 'preprocessing'),
    ('backbone', 'forward', 'backbone'),
    ('neck', 'forward', 'neck'),
    ('rpn_head', 'forward', 'RPN: head'),
    ('rpn_head', 'predict_by_feat', 'RPN: proposals'),
    ('rpn_head', 'loss_by_feat', 'RPN: loss'),
    ('roi_head', 'loss', 'RoI head: sampling, loss'),
    ('roi_head.bbox_roi_extractor', 'forward', 'RoI head: extractor'),
    ('roi_head.shared_head', 'forward', 'RoI head: shared stage'),
    ('roi_head.bbox_head', 'forward', 'RoI head: box head'),
    ('roi_head.bbox_head', 'predict_by_feat', 'post-processing'),
    ('roi_head.mask_roi_extractor', 'forward', 'RoI head: mask extractor'),
    ('roi_head.mask_head', 'forward', 'RoI head: mask head'),
    ('roi_head.mask_head', 'predict_by_feat', 'post-processing of masks'),
    ('encoder', 'forward', 'encoder'),
    ('decoder', 'forward', 'decoder'),
    ('bbox_head', 'forward', 'head'),
    ('bbox_head', 'loss_by_feat', 'loss'),
    ('bbox_head', 'predict_by_feat', 'post-processing'),
)
TORCHVISION_PARTS: tuple[Part, ...] = (
    ('transform', 'forward', 'preprocessing'),
    ('backbone.body', 'forward', 'backbone'),
    ('backbone.fpn', 'forward', 'neck'),
    ('rpn.head', 'forward', 'RPN: head'),
    ('rpn', 'forward', 'RPN: proposals'),
    ('rpn', 'assign_targets_to_anchors', 'RPN: loss'),
    ('rpn', 'compute_loss', 'RPN: loss'),
    ('roi_heads', 'select_training_samples', 'RoI head: sampling, loss'),
    ('roi_heads.box_roi_pool', 'forward', 'RoI head: extractor'),
    ('roi_heads.box_head', 'forward', 'RoI head: box head'),
    ('roi_heads.box_predictor', 'forward', 'RoI head: box head'),
    ('roi_heads', 'postprocess_detections', 'post-processing'),
    ('transform', 'postprocess', 'post-processing'),
)
_NAMES = dict.fromkeys(name for _, _, name in MMDET_PARTS + TORCHVISION_PARTS)
PART_ORDER = (DATA, *_NAMES, OTHER, BACKWARD, TOTAL)
"""All parts in the order in which tables show them."""


def fixed_boxes(number: int, size: Size, device: torch.device | str = 'cpu') -> Tensor:
    """Boxes (number, 4) as x1, y1, x2, y2 in an image of height and width ``size``, always the
    same: centres anywhere, sides of 5% to 60% of the image's."""
    values = torch.rand(number, 4, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([size[1], size[0]] * 2)
    centre, half = values[:, :2], 0.025 + 0.275 * values[:, 2:]
    boxes = torch.cat([centre - half, centre + half], 1).clamp(0, 1) * scale
    return boxes.to(device)


class Tracer:
    """Adds up the seconds of parts; a part that runs inside another one counts on its own.

    Attributes:
        seconds: by part, in the order in which they were first left.
    """

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._running: list[str] = []
        self._mark = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside as ``name``."""
        self._charge()
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        synchronise(self._device)
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._mark
        self._mark = now

    @contextmanager
    def watching(self, model: nn.Module, parts: Sequence[Part]) -> Iterator[None]:
        """Count the calls of those parts that the model has; the rest is :data:`OTHER`."""
        with ExitStack() as stack:
            for path, method, name in parts:
                for owner in _found(model, path):
                    if hasattr(owner, method):
                        self._wrap(stack, owner, method, name)
            stack.enter_context(self.part(OTHER))
            yield

    def _wrap(self, stack: ExitStack, owner: nn.Module, method: str, name: str) -> None:
        inner, own = getattr(owner, method), method in vars(owner)

        def call(*args: object, **kwargs: object) -> object:
            with self.part(name):
                return inner(*args, **kwargs)

        setattr(owner, method, call)
        stack.callback(*((setattr, owner, method, inner) if own else (delattr, owner, method)))


def _found(model: nn.Module, path: str) -> list[nn.Module]:
    """The modules at a path: none, one, or those of a list, as cascades have them."""
    for name in path.split('.'):
        model = getattr(model, name, None)
    if not isinstance(model, nn.Module):
        return []
    return list(model) if isinstance(model, nn.ModuleList) else [model]
