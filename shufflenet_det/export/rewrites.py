"""Exact rewrites: the same results, in a form that an engine runs faster.

Which of them pays in which engine was measured: docs/engines.md.
"""
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from torch import nn

from ..models.deploy import DeployConv2d
from ..models.skeleton import UnitNet
from .plain_unit import PlainUnit, filled, plain_units, replace_weights, use_plain_units
from .preprocessor import PlainPreprocessor

# of ONNX Runtime's layout with blocks of channels: of the block, on processors with AVX-512, and of
# what can be brought into that layout
_BLOCK, _ALIGNMENT = 16, 4
# groups of more channels of zero cost more time than their layout saves
_MOST_FILLING = 1.25


@dataclass(frozen=True)
class Rewrite:
    """A rewrite.

    Attributes:
        name: for the tables of measurements.
        network: changes a network in place, in deploy form with :class:`.PlainUnit` in it.
        graph: changes an ONNX model in place.
        layers: changes the XML of OpenVINO's IR in place.
    """

    name: str
    network: Callable[[nn.Module], None] | None = None
    graph: Callable[[Any], None] | None = None
    layers: Callable[[Element], None] | None = None


def rewritten(network: nn.Module, rewrites: Sequence[Rewrite]) -> nn.Module:
    """A copy of a network in deploy form, rewritten."""
    network = copy.deepcopy(network)
    use_plain_units(network)
    for rewrite in rewrites:
        if rewrite.network is not None:
            rewrite.network(network)
    return network


def fold_division(network: nn.Module) -> None:
    """Divide the weights of the first convolution by the standard deviations of the pixels."""
    preprocess: PlainPreprocessor = network.preprocess
    first = [
        module
        for module in network.backbone.modules()
        if isinstance(module, DeployConv2d) and module.in_channels == 3
    ]
    # padding follows the division
    padded = preprocess.divisor > 1 and preprocess.pad_value != 0
    if not preprocess.divides or padded or len(first) != 1:
        return
    (conv,) = first
    replace_weights(conv, conv.weight / preprocess.std.view(3, 1, 1), conv.bias)
    preprocess.divides = False


def take_orders(network: nn.Module) -> None:
    """Let dense convolutions write their channels shuffled: those of the first units."""
    for unit in plain_units(network):
        unit.take_order()


def align_bottlenecks(network: nn.Module) -> None:
    """Depthwise convolutions with a multiple of 4 channels, so that they run in blocks."""
    for unit in plain_units(network):
        unit.widen_bottleneck(_ALIGNMENT)


def fill_stem(network: nn.Module) -> None:
    """A stem of full blocks of channels, where only the first unit reads it."""
    backbone = network.backbone
    if not isinstance(backbone, UnitNet) or 0 in backbone.out_indices:
        return
    unit, stem = backbone.layers[0][0], backbone.conv1
    channels = stem.out_channels
    if not (isinstance(unit, PlainUnit) and isinstance(stem, DeployConv2d) and channels % _BLOCK):
        return
    wider = -(-channels // _BLOCK) * _BLOCK
    bias = None if stem.bias is None else filled(stem.bias, 0, wider)
    replace_weights(stem, filled(stem.weight, 0, wider), bias)
    replace_weights(unit.compress, filled(unit.compress.weight, 1, wider), unit.compress.bias)


def fill_groups(network: nn.Module) -> None:
    """Group convolutions of full blocks of channels, where few are missing."""
    for unit in plain_units(network):
        unit.widen_groups(_BLOCK, _MOST_FILLING)


def absorb_orders(network: nn.Module) -> None:
    """Expanding convolutions without groups, which take shuffled channels as they come."""
    for unit in plain_units(network):
        unit.absorb_order()


def drop_groups(network: nn.Module) -> None:
    """1x1 convolutions of units without groups, which engines have no fast int8 kernels for."""
    for unit in plain_units(network):
        unit.drop_groups()


def skip_normalisation(network: nn.Module) -> None:
    """Nothing is subtracted where the mean is zero, and nothing divided by one."""
    preprocess: PlainPreprocessor = network.preprocess
    if preprocess.normalises and not preprocess.mean.any():
        preprocess.subtracts = False
    if preprocess.divides and (preprocess.std == 1).all():
        preprocess.divides = False


def read_planes(ir: Element) -> None:
    """First convolutions that read an image as it comes, a plane for each colour.

    By itself OpenVINO brings the colours of a pixel together first, for its faster kernel, which
    takes as long as the convolution. Other processors do not have these kernels, and choose theirs.
    """
    for layer in ir.iter('layer'):
        dims = layer.findall('input/port')[:1]
        if layer.get('type') == 'Convolution' and [d.text for d in dims[0]][1] == '3':
            layer.find('data').set('PrimitivesPriority', 'cpu:jit_avx512,cpu:jit_avx2')


PLAIN_PIXELS = Rewrite('no normalisation where it changes nothing', skip_normalisation)
DENSE = Rewrite('shuffle of the others in dense convolutions', absorb_orders)
"""Three times the products in half of the 1x1 convolutions, and no channel has to move."""
NO_GROUPS = Rewrite('no groups in 1x1 convolutions', drop_groups)
ORDERS = Rewrite('shuffle of the first unit in its convolution', take_orders)
