"""Many small networks trained as one: their weights are stacked, a GPU runs each layer once.

A network of 13 MFLOPs leaves a GPU idle: its layers are a few microseconds of work each. Here M
networks of one architecture (other seeds, with and without channel shuffle) are one network whose
tensors have a leading dimension M. Features are (M, N, H, W, C), pixels are rows, and every dense
or grouped convolution is one batched matrix product:

- a grouped convolution is a dense one whose weights between groups are zero and stay zero (masks);
- a channel shuffle is a permutation of the columns of the convolution that follows it.

So networks of the same widths run in one stack, whatever their shuffle. What is computed is the
networks of this package: :meth:`Stack.load` takes their state dicts and :meth:`Stack.state_dict`
gives them back (tests compare results and gradients).
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..common.errors import ConfigError
from ..models.classifier import ImageClassifier
from ..models.comparison_units import BottleneckUnit, VGGUnit
from ..models.mobilenet_v1 import SeparableUnit
from ..models.shuffle_unit import ShuffleUnit
from .stacked_layers import (
    BatchNorm,
    Context,
    Conv,
    Layer,
    Tensors,
    average_pool,
    max_pool,
    wide,
)


class Stack:
    """Networks of one architecture as one network.

    Args:
        models: classifiers with a linear head whose weights have the same shapes when dense.

    Attributes:
        params, stats: the tensors that training changes, by the names of the state dict.
        masks: 1 where a weight may differ from zero, for the convolutions with groups.
        decayed: names of the weights under weight decay: those of convolutions and linear layers.

    Raises:
        ConfigError: a layer that a stack does not have.
    """

    def __init__(self, models: Sequence[ImageClassifier]) -> None:
        self._convs: dict[str, Conv] = {}
        self._norms: list[str] = []
        self._models = models
        self.layers: list[Layer] = []
        for level in zip(*(self._levels(model) for model in models), strict=True):
            self.layers.append(self._layer(level[0][0], [module for _, module in level]))
        self._head = 'head.fc'
        self.params: Tensors = {}
        self.stats: Tensors = {}
        self.masks: Tensors = {}
        self.load([model.state_dict() for model in models])
        self.decayed = frozenset((*self._convs, f'{self._head}.weight'))

    @staticmethod
    def _levels(model: ImageClassifier) -> list[tuple[str, nn.Module]]:
        names = {module: name for name, module in model.named_modules()}
        found = []
        for modules in model.backbone.levels():
            for module in modules:
                parts = module if isinstance(module, nn.Sequential) else [module]
                found += [(names[part], part) for part in parts]
        return found

    def _layer(self, name: str, modules: list[nn.Module]) -> Layer:
        module = modules[0]
        if isinstance(module, ConvModule):
            return self._conv_module(name, module)
        if isinstance(module, nn.MaxPool2d):
            return max_pool
        if isinstance(module, ShuffleUnit):
            return self._shuffle_unit(name, modules)
        if isinstance(module, SeparableUnit):
            return self._sequence(name, module, ('depthwise', 'pointwise'))
        if isinstance(module, VGGUnit):
            return self._sequence(name, module, ('conv1', 'conv2'))
        if isinstance(module, BottleneckUnit):
            return self._bottleneck_unit(name, module)
        raise ConfigError(f'{name}: a stack has no layer for {type(module).__name__}.')

    def _conv_module(
        self, name: str, module: ConvModule, orders: Sequence[Tensor] | None = None
    ) -> Layer:
        conv = Conv(f'{name}.conv.weight', module.conv, orders)
        self._convs[conv.name] = conv
        norm = BatchNorm(f'{name}.{module.norm_name}')
        self._norms.append(norm.name)
        act = module.with_activation

        def layer(context: Context, x: Tensor) -> Tensor:
            x = norm(context, conv(context, x))
            return F.relu(x) if act else x

        return layer

    def _sequence(self, name: str, unit: nn.Module, parts: Sequence[str]) -> Layer:
        layers = [self._conv_module(f'{name}.{part}', getattr(unit, part)) for part in parts]

        def layer(context: Context, x: Tensor) -> Tensor:
            for each in layers:
                x = each(context, x)
            return x

        return layer

    def _shuffle_unit(self, name: str, units: Sequence[ShuffleUnit]) -> Layer:
        unit = units[0]
        channels = unit.g_conv_1x1_expand.conv.in_channels
        orders = [
            torch.arange(channels).view(u.shuffle_groups, -1).T.reshape(-1) for u in units
        ]
        branch = self._sequence(name, unit, ('g_conv_1x1_compress', 'depthwise_conv3x3_bn'))
        expand = self._conv_module(f'{name}.g_conv_1x1_expand', unit.g_conv_1x1_expand, orders)
        if not isinstance(unit.se, nn.Identity):
            raise ConfigError(f'{name}: a stack has no squeeze-and-excitation.')

        def layer(context: Context, x: Tensor) -> Tensor:
            out = expand(context, branch(context, x))
            if unit.stride == 2:
                return torch.cat((average_pool(x), F.relu(out)), dim=-1)
            return F.relu(x + out)

        return layer

    def _bottleneck_unit(self, name: str, unit: BottleneckUnit) -> Layer:
        branch = self._sequence(name, unit, ('conv1', 'conv2', 'conv3'))
        shortcut = None
        if isinstance(unit.shortcut, ConvModule):
            shortcut = self._conv_module(f'{name}.shortcut', unit.shortcut)

        def layer(context: Context, x: Tensor) -> Tensor:
            kept = shortcut(context, x) if shortcut else x
            return F.relu(kept + branch(context, x))

        return layer

    def load(self, states: Sequence[Tensors]) -> None:
        """Take the weights of M networks, one state dict each."""
        for name, conv in self._convs.items():
            packed = [conv.pack(state[name], m) for m, state in enumerate(states)]
            self.params[name] = torch.stack(packed)
            if conv.groups > 1 and not conv.depthwise:
                ones = torch.ones_like(states[0][name])
                masks = [conv.pack(ones, m) for m in range(len(states))]
                self.masks[name] = torch.stack(masks)
        for norm in self._norms:
            for part, target in (
                ('weight', self.params), ('bias', self.params),
                ('running_mean', self.stats), ('running_var', self.stats),
            ):  # fmt: skip
                target[f'{norm}.{part}'] = torch.stack([s[f'{norm}.{part}'] for s in states])
        weight, bias = f'{self._head}.weight', f'{self._head}.bias'
        self.params[weight] = torch.stack([state[weight].T for state in states])
        self.params[bias] = torch.stack([state[bias] for state in states])

    def state_dict(self, model: int) -> Tensors:
        """The weights of one network, as this package's classifier has them; float32, on CPU."""
        state = self._models[model].state_dict()
        for name, stacked in (self.params | self.stats).items():
            value = stacked[model].detach().cpu()
            if name in self._convs:
                value = self._convs[name].unpack(value, model)
            elif name == f'{self._head}.weight':
                value = value.T.contiguous()
            state[name] = value
        return state

    def to(self, device: torch.device | str) -> 'Stack':
        """Move all tensors to a device."""
        for tensors in (self.params, self.stats, self.masks):
            tensors.update({name: value.to(device) for name, value in tensors.items()})
        return self

    def forward(
        self, params: Tensors, stats: Tensors, images: Tensor, training: bool, dtype: torch.dtype
    ) -> tuple[Tensor, Tensors]:
        """Normalised images (M, N, H, W, 3) to float32 logits (M, N, classes).

        Returns:
            The logits, and the running statistics after this pass (empty unless ``training``).
        """
        context = Context(params, stats, training, dtype)
        x = images.to(dtype)
        for layer in self.layers:
            x = layer(context, x)
        features = wide(x).mean(dim=(2, 3)).to(dtype)
        weight = params[f'{self._head}.weight'].to(dtype)
        logits = wide(torch.bmm(features, weight)) + params[f'{self._head}.bias'][:, None]
        return logits, context.new_stats
