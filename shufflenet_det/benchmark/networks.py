"""The networks that ``tools/benchmark.py backbone`` compares, by name."""
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..common.config import CONFIGS
from ..common.errors import ConfigError
from ..models.complexity import count_module
from ..swap.names import backbone_config, backbone_names, parse_backbone
from .peers import (
    MMPRETRAIN,
    TORCHVISION,
    TORCHVISION_NETWORKS,
    check_peer,
    objection,
    peer_of,
    torchvision_name,
    torchvision_network,
)
from .speed import Side, Size

_SHUFFLENET = re.compile(r'shufflenet-v1-(\d+(?:\.\d+)?)x-g(\d+)')


@dataclass(frozen=True)
class ComparedNetwork(Side):
    """A network that returns its last map alone, or logits.

    Attributes:
        make: makes it, each time with the same weights.
        change: what is done to it, and again to its form for inference.
    """

    name: str
    make: Callable[[], nn.Module]
    ours: bool = False
    twin: str | None = None
    note: str | None = None
    change: Callable[[nn.Module], nn.Module] | None = None
    # forward, gradients of the input, gradients of the weights
    step_macs = 3

    def build(self, size: Size | None = None) -> nn.Module:
        return self.finish(self.make(), size)

    def finish(self, model: nn.Module, size: Size | None) -> nn.Module:
        return self.change(model) if self.change else model

    def batch(self, size: Size, count: int, device: str) -> Tensor:
        return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)

    def predict(self, model: Callable, batch: Tensor) -> Tensor:
        return tree_leaves(model(batch))[-1]

    def loss(self, model: Callable, batch: Tensor) -> Tensor:
        return sum(output.float().mean() for output in tree_leaves(model(batch)))

    def count(self, size: Size) -> int:
        return sum(layer.macs for layer in count_module(self.build(), torch.zeros(1, 3, *size)))

    def figures(self, mode: str, output: Tensor | None, expected: Tensor | None) -> dict:
        if output is None or expected is None or output.shape != expected.shape:
            return dict(difference=None)
        greatest = (output.float() - expected.float()).abs().max() / expected.float().abs().max()
        return dict(difference=greatest.item())


def find_network(name: str, classifier: bool = False) -> ComparedNetwork:
    """A network by its name.

    Args:
        name: a name of the zoo, ``shufflenet-v1-<width>x-g<groups>``, or ``'type=X key=value'``;
            ``mmpretrain:`` before one of a ShuffleNetV1; or ``torchvision:<name>``.
        classifier: with pooling and classifier of 1000 classes, instead of the last map alone.

    Raises:
        ConfigError: there is no such network; the nearest names are in the message.
    """
    if name.startswith(TORCHVISION):
        short = torchvision_name(name, TORCHVISION_NETWORKS)
        return ComparedNetwork(name, partial(torchvision_network, short, classifier))
    ours = name.removeprefix(MMPRETRAIN)
    cfg = _config(ours)
    if name.startswith(MMPRETRAIN):
        check_peer(cfg)
        note = 'layers of mmpretrain with the widths and weights of ours'
        return ComparedNetwork(name, partial(_build, ours, cfg, classifier, True), note=note)
    twin = None if objection(cfg) else f'{MMPRETRAIN}{name}'
    return ComparedNetwork(name, partial(_build, ours, cfg, classifier), True, twin)


def _config(text: str) -> dict:
    """The config of one of our backbones, of any width and groups."""
    found = _SHUFFLENET.fullmatch(text)
    if found and text not in backbone_names():
        width, groups = float(found[1]), int(found[2])
        return backbone_config(dict(type='ShuffleNetV1', groups=groups, widen_factor=width))
    try:
        return backbone_config(parse_backbone(text))
    except ConfigError as error:
        near = get_close_matches(text.rpartition(':')[2], TORCHVISION_NETWORKS, 2, cutoff=0.8)
        near = [TORCHVISION + name for name in near]
        hint = f' Did you mean {" or ".join(near)}?' if near else ''
        raise ConfigError(f'{error}{hint}') from None


def _build(name: str, cfg: dict, classifier: bool, as_peer: bool = False) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmdet'), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cfg = {**cfg, 'out_indices': (max(MODELS.build(cfg).out_indices),)}
        if classifier:
            head = dict(type='LinearHead', num_classes=1000)
            if name in backbone_names():
                head = Config.fromfile(CONFIGS / 'imagenet' / f'{name}_in1k.py').model.head
            cfg = dict(type='ImageClassifier', backbone=cfg, head=head)
        model = MODELS.build(cfg)
        model.init_weights()
    if as_peer and classifier:
        model.backbone = peer_of(model.backbone)
        return model
    return peer_of(model) if as_peer else model
