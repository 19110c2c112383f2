"""The networks and detectors of other libraries that ours are compared with."""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torchvision
from mmcv.cnn import ConvModule
from mmdet.testing import demo_mm_inputs
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

from ..common.config import suggest
from ..common.errors import ConfigError
from ..models import ShuffleNetV1
from ..models.complexity import count_module
from .detector_parts import DetectorSide, fixed_boxes
from .speed import Size
from .timing import Call

MMPRETRAIN, TORCHVISION = 'mmpretrain:', 'torchvision:'
TORCHVISION_NETWORKS = (
    'shufflenet_v2_x0_5', 'shufflenet_v2_x1_0', 'mobilenet_v3_small', 'mobilenet_v3_large',
    'alexnet',
)  # fmt: skip
_BEHIND_THE_LAST_MAP = ('avgpool', 'classifier', 'fc')
# what mmpretrain's class can be given, and values of other settings that change nothing
_OF_MMPRETRAIN = {
    'type', 'groups', 'widen_factor', 'stem_channels', 'stage_channels', 'out_indices',
    'norm_eval', 'init_cfg',
}  # fmt: skip
_NEUTRAL = (None, False, -1, 'standard')


def check_peer(cfg: Mapping) -> None:
    """Raise :class:`ConfigError` unless mmpretrain is there and has the network of a config."""
    found = objection(cfg)
    if found:
        raise ConfigError(f'mmpretrain has no twin of {dict(cfg)}: {found}.')
    try:
        import mmpretrain.models.backbones  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'mmpretrain cannot be imported ({error}): pip install mmpretrain==1.2.0, or leave '
            f'this side out.'
        ) from None


def objection(cfg: Mapping) -> str | None:
    """Why mmpretrain has no network of a config, or None."""
    if cfg['type'] != 'ShuffleNetV1':
        return f'{cfg["type"]} is no ShuffleNetV1'
    for key, value in cfg.items():
        if key not in _OF_MMPRETRAIN and value not in _NEUTRAL:
            return f'its ShuffleNetV1 cannot have {key}={value!r}'
    return None


def peer_of(ours: ShuffleNetV1) -> nn.Module:
    """mmpretrain's ShuffleNetV1 with the widths, levels and weights of ours.

    Raises:
        ValueError: mmpretrain does not know the number of groups.
    """
    # mmpretrain is not among the requirements
    from mmpretrain.models.backbones import ShuffleNetV1 as Original

    class MMPretrainShuffleNetV1(Original):
        """The layers and the code of mmpretrain, at any widths and with the stem as level 0.

        mmpretrain rounds widths in its own way and cannot build 7 of the paper's 25 networks; with
        widths that are given its layers make all of them. The state dict has the keys of ours.
        """

        def __init__(self) -> None:
            super().__init__(groups=ours.variant['groups'], norm_eval=ours.norm_eval)
            stem, stages = ours.variant['stem_channels'], ours.variant['stage_channels']
            self.out_indices = ours.out_indices
            self.out_channels, self.out_strides = ours.out_channels, ours.out_strides
            self.conv1 = ConvModule(
                3, stem, 3, stride=2, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
            )
            self.in_channels = stem
            self.layers = nn.ModuleList(
                self.make_layer(width, blocks, first_block=stage == 0)
                for stage, (width, blocks) in enumerate(zip(stages, self.stage_blocks, strict=True))
                if stage < max(ours.out_indices)
            )
            self.load_state_dict(ours.state_dict())

        def train(self, mode: bool = True) -> Self:
            """Switch the mode; mmpretrain's method returns nothing."""
            super().train(mode)
            return self

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            """Images (N, 3, H, W) to the levels of ``out_indices``, as ours returns them."""
            x = self.maxpool(self.conv1(x))
            outs = [x] if 0 in self.out_indices else []
            for level, layer in enumerate(self.layers, start=1):
                x = layer(x)
                if level in self.out_indices:
                    outs.append(x)
            return tuple(outs)

    return MMPretrainShuffleNetV1()


def torchvision_name(name: str, known: Iterable[str]) -> str:
    """A name of torchvision's without our prefix.

    Raises:
        ConfigError: it is not among those known.
    """
    short = name.removeprefix(TORCHVISION)
    if short not in known:
        near = suggest(TORCHVISION + short, [TORCHVISION + other for other in known])
        raise ConfigError(
            f'nothing named {name!r} to compare with.{near} torchvision has {", ".join(known)}.'
        )
    return short


def torchvision_network(short: str, classifier: bool) -> nn.Module:
    """One of :data:`TORCHVISION_NETWORKS`, up to its last map or with its classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.get_model(short, weights=None)
    if classifier:
        return model
    layers = [m for n, m in model.named_children() if n not in _BEHIND_THE_LAST_MAP]
    return nn.Sequential(*layers)


# RoIs an image, torchvision's defaults: in prediction, and of all of them in training
_PROPOSALS = {
    'fasterrcnn_mobilenet_v3_large_320_fpn': 150,
    'fasterrcnn_mobilenet_v3_large_fpn': 1000,
    'fasterrcnn_resnet50_fpn': 1000,
}
_TRAINING_PROPOSALS = 2000


def find_torchvision(name: str, proposals: int | None = None) -> 'TorchvisionDetector':
    """One of torchvision's detectors, with its own number of proposals in prediction or another.

    Raises:
        ConfigError: there is no such detector.
    """
    short = torchvision_name(name, _PROPOSALS)
    return TorchvisionDetector(name, proposals or _PROPOSALS[short])


@dataclass(frozen=True)
class TorchvisionDetector(DetectorSide):
    """One of torchvision's detectors with random weights, at a fixed input size.

    ``min_size`` and ``max_size`` are those of the image, so that its resizing changes nothing.
    """

    name: str
    tested_proposals: int

    def build(self, size: Size) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return torchvision.models.get_model(
                self.name.removeprefix(TORCHVISION),
                weights=None,
                weights_backbone=None,
                min_size=min(size),
                max_size=max(size),
                rpn_post_nms_top_n_test=self.tested_proposals,
            )

    def finish(self, model: nn.Module, size: Size) -> nn.Module:
        rpn = model.rpn
        find = rpn.filter_proposals

        def filter_proposals(proposals: Tensor, *args: object) -> tuple[list, list]:
            boxes, _ = find(proposals, *args)
            number = self.proposals(rpn.training)
            fixed = fixed_boxes(number, size, proposals.device)
            return [fixed for _ in boxes], [torch.ones(number, device=fixed.device) for _ in boxes]

        rpn.filter_proposals = filter_proposals
        return model

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
        return _TRAINING_PROPOSALS if training else self.tested_proposals

    def count(self, size: Size) -> int:
        model = self.finish(self.build(size), size)
        return sum(layer.macs for layer in count_module(model, [torch.zeros(3, *size)]))

    def data(self, photo: Path, size: Size) -> Call:
        def read() -> Tensor:
            image = F.pil_to_tensor(Image.open(photo).convert('RGB'))
            return F.to_dtype(F.resize(image, list(size)), torch.float32, scale=True)

        return read
