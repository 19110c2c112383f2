"""What each optimisation of this package gains: networks with one of them switched off."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from unittest import mock

from torch import Tensor, nn

from ..models import deploy as deploy_form
from ..models import shuffle_unit
from ..models.fast import chain, inference
from ..models.skeleton import UnitNet
from ..models.staged import StagedBackbone
from .networks import Network
from .speed import DEPLOY, FORWARD, TRAIN

Switch = Callable[[], AbstractContextManager]


@contextmanager
def _python() -> Iterator[None]:
    with (
        mock.patch.object(inference, 'compiled', lambda function: function),
        mock.patch.object(chain, 'compiled', lambda function: function),
    ):
        yield


@contextmanager
def _all_off() -> Iterator[None]:
    with (
        mock.patch.object(StagedBackbone, 'channels_last', False),
        mock.patch.object(UnitNet, 'fast_stem', False),
        mock.patch.object(shuffle_unit.ShuffleUnit, 'fast', False),
    ):
        yield


def _attribute(owner: object, name: str, value: object) -> Switch:
    return partial(mock.patch.object, owner, name, value)


SWITCHES: dict[str, tuple[Switch, tuple[str, ...]]] = {
    # the functions of a training step and the fused kernels put the channels last themselves
    'channels last': (_attribute(StagedBackbone, 'channels_last', False), (FORWARD,)),
    'stem as a function': (_attribute(UnitNet, 'fast_stem', False), (TRAIN,)),
    'units as functions': (
        _attribute(shuffle_unit.ShuffleUnit, 'function', lambda unit, trains, infers: None),
        (FORWARD, DEPLOY, TRAIN),
    ),
    'units in chains': (
        _attribute(shuffle_unit, '_joins', lambda module: False), (FORWARD, DEPLOY, TRAIN)
    ),
    'TorchScript': (_python, (FORWARD, DEPLOY, TRAIN)),
    'folded norms of wide maps': (_attribute(chain, '_FEWEST_TO_FOLD', 10**18), (TRAIN,)),
    'folded first norm': (_attribute(chain, 'folds', lambda weight, x: False), (TRAIN,)),
    'fused kernels': (_attribute(deploy_form, 'fuses', lambda x: False), (DEPLOY,)),
    'packed weights': (_attribute(deploy_form, 'pack', lambda weight, *where: weight), (DEPLOY,)),
    'any of it': (_all_off, (TRAIN,)),
}  # fmt: skip
"""How to switch an optimisation off, and the modes that it is for."""


class Without(nn.Module):
    """A network that runs with an optimisation switched off."""

    def __init__(self, network: nn.Module, switch: Switch) -> None:
        super().__init__()
        self.network = network
        self.switch = switch

    def forward(self, x: Tensor) -> object:
        """As the network."""
        with self.switch():
            return self.network(x)


def ablated(network: Network, mode: str) -> list[Network]:
    """A network, and ours again with each optimisation for a mode switched off.

    Networks of other libraries are returned as they are.
    """
    if not network.ours:
        return [network]
    sides = [network]
    for name, (switch, of) in SWITCHES.items():
        if mode in of:
            sides.append(
                replace(
                    network,
                    name=f'{network.name} without {name}',
                    build=partial(_without, network, switch),
                    twin=None,
                )
            )
    return sides


def _without(network: Network, switch: Switch) -> nn.Module:
    return Without(network.build(), switch)
