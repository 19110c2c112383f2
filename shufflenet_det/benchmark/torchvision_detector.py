"""torchvision's Faster R-CNN as a side of the comparison of detectors."""
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.testing import demo_mm_inputs
from PIL import Image
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.transforms.v2 import functional as F

from ..common.config import suggest
from ..common.errors import ConfigError
from ..models.complexity import count_module
from .detector_parts import TORCHVISION_PARTS, Part
from .detectors import Size, fixed_boxes
from .networks import TORCHVISION
from .timing import Run

# RoIs an image in prediction and in training, torchvision's defaults
_PROPOSALS = {
    'fasterrcnn_mobilenet_v3_large_320_fpn': (150, 2000),
    'fasterrcnn_mobilenet_v3_large_fpn': (1000, 2000),
    'fasterrcnn_resnet50_fpn': (1000, 2000),
}


def find_torchvision(name: str, proposals: int | None = None) -> 'TorchvisionDetector':
    """A detector by ``torchvision:<name>``.

    Raises:
        ConfigError: there is no such detector.
    """
    short = name.removeprefix(TORCHVISION)
    if short not in _PROPOSALS:
        raise ConfigError(
            f'no detector {name!r} to compare with.{suggest(short, _PROPOSALS)} torchvision has '
            f'{", ".join(_PROPOSALS)}.'
        )
    return TorchvisionDetector(name, proposals or _PROPOSALS[short][0])


@dataclass(frozen=True)
class TorchvisionDetector:
    """One of torchvision's detectors with random weights, at a fixed input size.

    ``min_size`` and ``max_size`` are those of the image, so that its resizing changes nothing.
    """

    name: str
    tested_proposals: int
    ours: bool = False
    twin: None = None
    note: None = None
    parts: tuple[Part, ...] = TORCHVISION_PARTS

    def build(self, size: Size) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return detection.__dict__[self.name.removeprefix(TORCHVISION)](
                weights=None,
                weights_backbone=None,
                min_size=min(size),
                max_size=max(size),
                rpn_post_nms_top_n_test=self.tested_proposals,
            )

    def fix_proposals(self, model: nn.Module, size: Size) -> None:
        rpn = model.rpn
        find = rpn.filter_proposals

        def filter_proposals(proposals: Tensor, *args: object) -> tuple[list, list]:
            boxes, _ = find(proposals, *args)
            number = self.proposals(rpn.training)
            fixed = fixed_boxes(number, size, proposals.device)
            return [fixed for _ in boxes], [torch.ones(number, device=fixed.device) for _ in boxes]

        rpn.filter_proposals = filter_proposals

    def batch(self, size: Size, count: int, device: str) -> tuple[list[Tensor], list[dict]]:
        data = demo_mm_inputs(count, [[3, *size]] * count, [3] * count, num_classes=80)
        images = [image.to(device) / 255 for image in data['inputs']]
        objects = [sample.gt_instances for sample in data['data_samples']]
        targets = [dict(boxes=o.bboxes.to(device), labels=o.labels.to(device)) for o in objects]
        return images, targets

    def predict(self, model: nn.Module, batch: tuple[list[Tensor], list[dict]]) -> int:
        return sum(len(result['boxes']) for result in model(batch[0]))

    def loss(self, model: nn.Module, batch: tuple[list[Tensor], list[dict]]) -> Tensor:
        return sum(model(*batch).values())

    def proposals(self, training: bool) -> int:
        trained = _PROPOSALS[self.name.removeprefix(TORCHVISION)][1]
        return trained if training else self.tested_proposals

    def count(self, size: Size) -> int:
        model = self.build(size)
        self.fix_proposals(model, size)
        return sum(layer.macs for layer in count_module(model, [torch.zeros(3, *size)]))

    def data(self, photo: Path, size: Size) -> Run:
        def read() -> Tensor:
            image = F.pil_to_tensor(Image.open(photo).convert('RGB'))
            return F.to_dtype(F.resize(image, list(size)), torch.float32, scale=True)

        return read
