"""The well-known networks of the paper's Tables 6 and 8, with torchvision's layers and keys.

State-dict keys are torchvision's, so its public weights load by their path or URL with
``init_cfg=dict(type='Pretrained', checkpoint=...)``; the file's classifier is left over. The
weights expect the preprocessing that torchvision documents: RGB, mean (123.675, 116.28, 103.53) and
std (58.395, 57.12, 57.375), but for :class:`GoogLeNet`.

A level is the last map of its stride, so the pooling after it opens the next stage. Stages are
slices of the network: in :class:`~shufflenet_det.models.SharedRoIStage` their keys count from 0.
"""
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

import torch
import torchvision
from mmdet.registry import MODELS
from torch import nn

from .staged import StagedBackbone

Paths = tuple[str, ...]


def _features(start: int, stop: int) -> Paths:
    return tuple(f'features.{i}' for i in range(start, stop))


def _without_weights(builder: Callable[..., nn.Module], num_classes: int = 1) -> nn.Module:
    """The network on no device, because VGG-16's classifier alone takes a second to initialise."""
    with torch.device('meta'):
        return builder(num_classes=num_classes)


def _initialised(module: nn.Module) -> nn.Module:
    """A module of no device, on the CPU with the initial weights of its layers."""
    module = module.to_empty(device='cpu')
    for child in module.modules():
        if hasattr(child, 'reset_parameters'):
            child.reset_parameters()
    return module


class TorchvisionBackbone(StagedBackbone):
    """The layers of a torchvision classifier up to its last map.

    Args:
        out_indices: levels to return, all by default; layers after the last one are not built.
        frozen_stages: -1 freezes nothing; k freezes the levels 0 to k.
        norm_eval: keep the statistics of all batch norms as they are while training; only
            GoogLeNet has any.
        init_cfg: initialisation; Kaiming by default.

    Attributes:
        out_channels: channels of each returned level, known without a forward pass.
        out_strides: stride of each returned level relative to the image.

    Raises:
        ConfigError: indices that cannot be.
    """

    # to the bit torchvision's
    channels_last = False
    builder: Callable[..., nn.Module]
    """Builds torchvision's network from ``num_classes``."""
    paths: tuple[Paths, ...]
    """Names of torchvision's modules that lead to each level."""
    channels: tuple[int, ...]
    head_paths: Paths
    """Names of torchvision's modules from the last map to the logits."""

    def __init__(
        self,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        every = range(len(self.paths))
        super().__init__(
            self.channels,
            [4 * 2**level for level in every],
            every if out_indices is None else out_indices,
            frozen_stages,
            norm_eval,
            init_cfg,
        )
        net = _without_weights(self.builder)
        for path in chain(*self.paths[: max(self.out_indices) + 1]):
            parent, _, name = path.rpartition('.')
            if parent and not hasattr(self, parent):
                self.add_module(parent, nn.Sequential())
            self.get_submodule(parent).add_module(name, net.get_submodule(path))
        _initialised(self)
        self._freeze_stages()

    def levels(self) -> list[list[nn.Module]]:
        """The modules that lead from each level to the next, the stem's first."""
        built = self.paths[: max(self.out_indices) + 1]
        return [[self.get_submodule(path) for path in paths] for paths in built]

    @property
    def layers(self) -> list[list[nn.Module]]:
        """The stages, without the stem."""
        return self.levels()[1:]

    def original_head(self, num_classes: int) -> nn.Module:
        """The classifier of the original network, freshly initialised, with torchvision's keys.

        Args:
            num_classes: number of logits.

        Returns:
            A module that maps the last map (N, C, H, W) to logits (N, num_classes).
        """
        net = _without_weights(self.builder, num_classes)
        parts = [(path, net.get_submodule(path)) for path in self.head_paths]
        parts.insert(1, ('flatten', nn.Flatten()))
        return _initialised(nn.Sequential(OrderedDict(parts)))


@MODELS.register_module()
class AlexNet(TorchvisionBackbone):
    """AlexNet in its one-column form (arXiv 1404.5997), 714 MFLOPs; strides 4, 8, 16, 32.

    The first convolution and the poolings have no full padding: 224 pixels make maps of 55, 27, 13
    and 6 cells, ``(n - 7) // 4 + 1`` and then ``(n - 3) // 2 + 1``. The last stage is a pooling.
    """

    builder = staticmethod(torchvision.models.AlexNet)
    paths = (_features(0, 2), _features(2, 5), _features(5, 12), _features(12, 13))
    channels = (64, 192, 256, 256)
    head_paths = ('avgpool', 'classifier')


@MODELS.register_module()
class VGG16(TorchvisionBackbone):
    """VGG-16 without batch norm (arXiv 1409.1556), 15.5 GFLOPs; strides 4, 8, 16, 32.

    Each pooling halves and rounds down: a level of an image (H, W) is (H // stride, W // stride).
    The last stage is a pooling.
    """

    builder = staticmethod(torchvision.models.vgg16)
    paths = (_features(0, 16), _features(16, 23), _features(23, 30), _features(30, 31))
    channels = (256, 512, 512, 512)
    head_paths = ('avgpool', 'classifier')


@MODELS.register_module()
class GoogLeNet(TorchvisionBackbone):
    """GoogLeNet with batch norm (arXiv 1409.4842), 1.5 GFLOPs; strides 4, 8, 16, 32.

    No auxiliary classifiers. The poolings round up and have no padding: an even size halves at
    each step, an odd one gives at most a cell less than (H, W) / stride, rounded up.
    torchvision's public weights expect RGB with mean and std 127.5, unlike those of other networks.
    """

    builder = staticmethod(
        partial(torchvision.models.GoogLeNet, aux_logits=False, init_weights=False)
    )
    paths = (
        ('conv1', 'maxpool1', 'conv2', 'conv3'),
        ('maxpool2', 'inception3a', 'inception3b'),
        ('maxpool3', *(f'inception4{letter}' for letter in 'abcde')),
        ('maxpool4', 'inception5a', 'inception5b'),
    )
    channels = (192, 480, 832, 1024)
    head_paths = ('avgpool', 'dropout', 'fc')


@MODELS.register_module()
class SqueezeNet(TorchvisionBackbone):
    """SqueezeNet 1.0 (arXiv 1602.07360), 819 MFLOPs; three levels with strides 4, 8, 16.

    The first convolution has no padding and the poolings round up: 224 pixels make maps of 54, 27
    and 13 cells, ``(n - 7) // 2 + 1`` and then ``n // 2`` at each of the three poolings.
    """

    builder = staticmethod(partial(torchvision.models.SqueezeNet, '1_0'))
    paths = (_features(0, 6), _features(6, 11), _features(11, 13))
    channels = (256, 512, 512)
    head_paths = ('classifier',)
