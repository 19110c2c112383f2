"""What each optimisation of this package gains: networks with one of them switched off."""
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from ..models import DeployConv2d, ShuffleUnit, StagedBackbone
from .networks import Network
from .speed import DEPLOY, FORWARD, TRAIN

Switch = tuple[type[nn.Module], str]
"""A kind of modules, and the attribute of theirs that switches an optimisation on."""
CHANNELS_LAST, UNITS = (StagedBackbone, 'channels_last'), (ShuffleUnit, 'fast')
SWITCHES: dict[str, tuple[Sequence[Switch], Sequence[str]]] = {
    # the functions of a training step and the fused kernels put the channels last themselves
    'channels last': ([CHANNELS_LAST], [FORWARD]),
    'units as functions': ([UNITS], [FORWARD, DEPLOY, TRAIN]),
    'fused kernels': ([(DeployConv2d, 'fused')], [DEPLOY]),
    'packed weights': ([(DeployConv2d, 'packs')], [DEPLOY]),
    'any of it': ([CHANNELS_LAST, UNITS], [TRAIN]),
}
"""How to switch an optimisation off, and the modes that it is for."""


def switch_off(model: nn.Module, switches: Sequence[Switch]) -> nn.Module:
    """A network, changed in place, without some optimisations."""
    for module in model.modules():
        for kind, name in switches:
            if isinstance(module, kind):
                setattr(module, name, False)
    return model


def ablated(network: Network, mode: str) -> list[Network]:
    """A network, and ours again with each optimisation for a mode switched off.

    Networks of other libraries are returned as they are.
    """
    if not network.ours:
        return [network]
    return [network] + [
        replace(
            network,
            name=f'{network.name} without {name}',
            adapt=partial(switch_off, switches=switches),
            twin=None,
        )
        for name, (switches, of) in SWITCHES.items()
        if mode in of
    ]
