"""Where the time of a detector goes."""
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch
from torch import Tensor, nn

from .input_pipeline import write_photos
from .machine import synchronise
from .speed import TRAIN, Key, Setting, Side, Size
from .timing import Call

OTHER, BACKWARD = 'other', 'backward pass'
DATA, TOTAL = 'data (not in the total)', 'total'

PARTS: Mapping[str, Mapping[str, str]] = {
    # MMDetection's
    'data_preprocessor': dict(forward='preprocessing'),
    'backbone': dict(forward='backbone'),
    'neck': dict(forward='neck'),
    'rpn_head': dict(
        forward='RPN: head', predict_by_feat='RPN: proposals', loss_by_feat='RPN: loss'
    ),
    'roi_head': dict(loss='RoI head: sampling, loss'),
    'roi_head.bbox_roi_extractor': dict(forward='RoI head: extractor'),
    'roi_head.shared_head': dict(forward='RoI head: shared stage'),
    'roi_head.bbox_head': dict(forward='RoI head: box head', predict_by_feat='post-processing'),
    'roi_head.mask_roi_extractor': dict(forward='RoI head: mask extractor'),
    'roi_head.mask_head': dict(
        forward='RoI head: mask head', predict_by_feat='post-processing of masks'
    ),
    'encoder': dict(forward='encoder'),
    'decoder': dict(forward='decoder'),
    'bbox_head': dict(forward='head', loss_by_feat='loss', predict_by_feat='post-processing'),
    # torchvision's, where they have other names
    'transform': dict(forward='preprocessing', postprocess='post-processing'),
    'backbone.fpn': dict(forward='neck'),
    'rpn.head': dict(forward='RPN: head'),
    'rpn': dict(
        forward='RPN: proposals', assign_targets_to_anchors='RPN: loss', compute_loss='RPN: loss'
    ),
    'roi_heads': dict(
        select_training_samples='RoI head: sampling, loss',
        postprocess_detections='post-processing',
    ),
    'roi_heads.box_roi_pool': dict(forward='RoI head: extractor'),
    'roi_heads.box_head': dict(forward='RoI head: box head'),
    'roi_heads.box_predictor': dict(forward='RoI head: box head'),
}
"""By the path of a module: its methods, and the part that the time of each belongs to."""
_NAMES = dict.fromkeys(name for methods in PARTS.values() for name in methods.values())
PART_ORDER = (DATA, *_NAMES, OTHER, BACKWARD, TOTAL)
"""All parts in the order in which tables show them."""


class DetectorSide(Side):
    """A detector. Models that it has finished run their second stage on a fixed set of boxes after
    the RPN has done its work."""

    def proposals(self, training: bool) -> int | None:
        """RoIs of an image that the second stage is given; None for a network without."""

    def data(self, photo: Path, size: Size) -> Call | None:
        """What reads and resizes one image, or None if that is not known."""

    def figures(self, mode: str, output: int | None, expected: object) -> dict:
        found = {} if output is None else dict(detections=output)
        return found | dict(proposals=self.proposals(mode == TRAIN))


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
    def watching(
        self, model: nn.Module, parts: Mapping[str, Mapping[str, str]] = PARTS
    ) -> Iterator[None]:
        """Count the calls of those parts that the model has; the rest is :data:`OTHER`."""
        with ExitStack() as stack:
            for path, methods in parts.items():
                for owner, method in product(_found(model, path), methods):
                    if hasattr(owner, method):
                        counted = self.part(methods[method])(getattr(owner, method))
                        stack.enter_context(patch.object(owner, method, counted))
            stack.enter_context(self.part(OTHER))
            yield


def _found(model: nn.Module, path: str) -> list[nn.Module]:
    """The modules at a path: none, one, or those of a list, as cascades have them."""
    for name in path.split('.'):
        model = getattr(model, name, None)
    if not isinstance(model, nn.Module):
        return []
    return list(model) if isinstance(model, nn.ModuleList) else [model]


def measure_parts(
    sides: Sequence[DetectorSide],
    models: Mapping[Key, nn.Module],
    calls: Mapping[Key, Call],
    setting: Setting,
    rounds: int,
) -> dict[Key, dict[str, float]]:
    """Median seconds of each part, of rounds in which the sides take turns."""
    found: dict[Key, list[dict[str, float]]] = {key: [] for key in models}
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), 1)
        (photo,) = Path(folder).rglob('*.jpg')
        readers = {side.name: side.data(photo, setting.size) for side in sides}
        for _ in range(rounds):
            for key, model in models.items():
                name, mode = key
                tracer = Tracer(setting.device)
                if readers[name]:
                    with tracer.part(DATA):
                        for _ in range(setting.batch):
                            readers[name]()
                options = dict(backward=tracer.part(BACKWARD)) if mode == TRAIN else {}
                with tracer.watching(model):
                    calls[key](**options)
                found[key].append(tracer.seconds)
    return {key: _medians(turns) for key, turns in found.items()}


def _medians(turns: list[dict[str, float]]) -> dict[str, float]:
    parts = dict.fromkeys(part for turn in turns for part in turn)
    medians = {part: median(turn.get(part, 0.0) for turn in turns) for part in parts}
    whole = [sum(s for part, s in turn.items() if part != DATA) for turn in turns]
    return medians | {TOTAL: median(whole)}
