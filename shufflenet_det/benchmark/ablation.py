"""What each optimisation of this package gains: networks with one of them switched off."""
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from ..models import DeployConv2d, ShuffleUnit, StagedBackbone
from .networks import ComparedNetwork
from .speed import DEPLOY, FORWARD, TRAIN

Switches = Mapping[type[nn.Module], str]
"""By the kind of a module, its attribute that switches an optimisation on."""
CHANNELS_LAST, UNITS = {StagedBackbone: 'channels_last'}, {ShuffleUnit: 'fast'}
SWITCHES: dict[str, tuple[Switches, Sequence[str]]] = {
    # the functions of a training step and the fused kernels put the channels last themselves
    'channels last': (CHANNELS_LAST, [FORWARD]),
    'units as functions': (UNITS, [FORWARD, DEPLOY, TRAIN]),
    'fused kernels': ({DeployConv2d: 'fused'}, [DEPLOY]),
    'packed weights': ({DeployConv2d: 'packs'}, [DEPLOY]),
    'any of it': (CHANNELS_LAST | UNITS, [TRAIN]),
}
"""How to switch an optimisation off, and the modes that it is for."""


def switch_off(model: nn.Module, switches: Switches) -> nn.Module:
    """A network, changed in place, without some optimisations."""
    for module in model.modules():
        for kind, name in switches.items():
            if isinstance(module, kind):
                setattr(module, name, False)
    return model


def ablated(network: ComparedNetwork, mode: str) -> list[ComparedNetwork]:
    """A network and, if it is ours, it again with each optimisation for a mode switched off."""
    sides = [network]
    for what, (switches, modes) in SWITCHES.items():
        if network.ours and mode in modes:
            change = partial(switch_off, switches=switches)
            name = f'{network.name} without {what}'
            sides.append(replace(network, name=name, change=change, twin=None))
    return sides
