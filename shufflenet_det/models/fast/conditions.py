"""Which layers, and when, can be run as part of one function with others."""
from typing import TYPE_CHECKING

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules import module as of_all

from ..onednn import fuses

if TYPE_CHECKING:
    from ..shuffle_unit import ShuffleUnit

# of less the layers one by one are as fast: Python's calls count more than what they save
_FEWEST_TO_JOIN = 100_000


def trains_here(x: Tensor) -> bool:
    """Whether functions of this package can take a training step of ``x``, and faster."""
    return (
        torch.is_grad_enabled()
        and x.numel() >= _FEWEST_TO_JOIN
        and (fuses(x) or (x.device.type == 'cpu' and x.dtype == torch.float64))
        and not (torch.jit.is_tracing() or torch.compiler.is_compiling())
        and not torch.is_autocast_enabled('cpu')
        and not every_module_is_observed()
    )


def trains_as_function(unit: 'ShuffleUnit') -> bool:
    """Whether a unit's layers can be trained as part of a function, where :func:`trains_here`."""
    return (
        unit.training
        and _is_plain_unit(unit)
        and len({layer.norm.training for layer in unit.conv_layers}) == 1
    )


def evaluates_as_function(unit: 'ShuffleUnit') -> bool:
    """Whether a unit's batch norms can be folded into its convolutions for one forward pass."""
    return _is_plain_unit(unit) and not any(
        layer._modules[layer.norm_name].training for layer in unit.conv_layers
    )


def _is_plain_unit(unit: 'ShuffleUnit') -> bool:
    return (
        unit.fast
        and isinstance(unit._modules['se'], nn.Identity)
        and type(unit._modules['act']) is nn.ReLU
        and all(map(is_plain, unit.conv_layers))
    )


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is a convolution and a batch norm with statistics, unobserved."""
    if not isinstance(layer, ConvModule):
        return False
    # asked 48 times for each image: not by attribute, which for modules within modules is slow
    own = layer._modules
    conv, norm = own['conv'], own.get(layer.norm_name)
    return (
        type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        # pruning and weight norm, which put a weight together in a hook, too
        and not (is_observed(layer) or is_observed(conv) or is_observed(norm))
        and conv._parameters['bias'] is None
        and layer.order == ('conv', 'norm', 'act')
        and (not layer.with_activation or type(own['activate']) is nn.ReLU)
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and norm._parameters['weight'].dtype == conv._parameters['weight'].dtype
    )


def is_observed(module: nn.Module) -> bool:
    """Whether somebody has asked to see what goes through a module."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def every_module_is_observed() -> bool:
    """Whether somebody has asked to see what goes through all modules, as counters of FLOPs do."""
    return bool(
        of_all._global_forward_hooks
        or of_all._global_forward_pre_hooks
        or of_all._global_backward_hooks
        or of_all._global_backward_pre_hooks
    )
