"""The networks that ``tools/benchmark.py backbone`` compares, by name."""
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..common.config import CONFIGS
from ..common.errors import ConfigError
from ..models import switch_to_deploy
from ..models.staged import StagedBackbone
from ..swap.names import backbone_config, backbone_names, parse_backbone
from .peers import (
    MMPRETRAIN,
    TORCHVISION,
    TORCHVISION_FEATURES,
    check_peer,
    objection,
    peer_of,
    torchvision_network,
)

CLASSES = 1000
_SHUFFLENET = re.compile(r'shufflenet-v1-(\d+(?:\.\d+)?)x-g(\d+)')

@dataclass(frozen=True)
class Network:
    """One side of a comparison.

    Attributes:
        name: as it was given.
        make: makes the network, each time with the same weights.
        ours: whether it is of this package.
        twin: of ours, the name of the same network of mmpretrain, where there can be one.
        note: what the figures include, where that is not obvious.
        adapt: what is done to the network, and to its form for inference.
    """

    name: str
    make: Callable[[], nn.Module]
    ours: bool = False
    twin: str | None = None
    note: str | None = None
    adapt: Callable[[nn.Module], nn.Module] | None = None

    def build(self) -> nn.Module:
        """The network."""
        return self.adapt(self.make()) if self.adapt else self.make()

    def deployed(self, device: str = 'cpu') -> nn.Module:
        """The network in its form for inference: ours by ``switch_to_deploy``, others with batch
        norms folded by mmcv's ``fuse_conv_bn``. The form may depend on the device."""
        model = deploy(self.build().eval().to(device), self.ours)
        return self.adapt(model) if self.adapt else model


def deploy(model: nn.Module, ours: bool) -> nn.Module:
    """Bring a model in evaluation mode into its form for inference, in place."""
    return switch_to_deploy(model) if ours else fuse_conv_bn(model)


def find_network(name: str, classifier: bool = False) -> Network:
    """A network by its name.

    Args:
        name: a name of the zoo, ``shufflenet-v1-<width>x-g<groups>``, or ``'type=X key=value'``;
            ``mmpretrain:`` before one of a ShuffleNetV1; or ``torchvision:<name>``.
        classifier: with pooling and classifier of 1000 classes, instead of the last map alone.

    Raises:
        ConfigError: there is no such network; the nearest names are in the message.
    """
    if name.startswith(TORCHVISION):
        return Network(name, torchvision_network(name, classifier))
    ours = name.removeprefix(MMPRETRAIN)
    cfg = _config(ours)
    if name.startswith(MMPRETRAIN):
        check_peer(cfg)
        note = 'layers of mmpretrain with the widths and weights of ours'
        return Network(name, partial(_build, ours, cfg, classifier, True), note=note)
    twin = None if objection(cfg) else f'{MMPRETRAIN}{name}'
    return Network(name, partial(_build, ours, cfg, classifier), True, twin)


def _config(text: str) -> dict:
    """The config of one of our backbones, of any width and groups."""
    found = _SHUFFLENET.fullmatch(text)
    if found and text not in backbone_names():
        width, groups = float(found[1]), int(found[2])
        return backbone_config(dict(type='ShuffleNetV1', groups=groups, widen_factor=width))
    try:
        return backbone_config(parse_backbone(text))
    except ConfigError as error:
        peers = [TORCHVISION + name for name in TORCHVISION_FEATURES]
        near = get_close_matches(text, [*peers, *TORCHVISION_FEATURES], 2, cutoff=0.8)
        near = {TORCHVISION + name.removeprefix(TORCHVISION): None for name in near}
        hint = f' Did you mean {" or ".join(near)}?' if near else ''
        raise ConfigError(f'{error}{hint}') from None


def _build(name: str, cfg: dict, classifier: bool, as_peer: bool = False) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmdet'), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        last = max(MODELS.build(cfg).out_indices)
        model = MODELS.build({**cfg, 'out_indices': (last,)})
        model.init_weights()
        head = _head(name, model) if classifier else None
    if as_peer:
        model = peer_of(model)
    return _Classifier(model, head) if classifier else model


class _Classifier(nn.Module):
    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, H, W) to logits (N, 1000)."""
        return self.head(self.backbone(x)[-1])


def _head(name: str, backbone: StagedBackbone) -> nn.Module:
    head = dict(type='LinearHead', num_classes=CLASSES)
    if name in backbone_names():
        head = Config.fromfile(CONFIGS / 'imagenet' / f'{name}_in1k.py').model.head
    head = MODELS.build({**head, 'backbone': backbone})
    head.init_weights()
    return head
