"""Which layers, and when, can be run as part of one function with others."""
import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules import module as of_all

from ..onednn import fuses

FEWEST_TO_JOIN = 100_000
"""Of less values the layers one by one are as fast: Python's calls count more than they save."""


def trains_here(x: Tensor) -> bool:
    """Whether functions of this package can take a training step of ``x``, and faster."""
    return (
        torch.is_grad_enabled()
        and x.numel() >= FEWEST_TO_JOIN
        and (fuses(x) or (x.device.type == 'cpu' and x.dtype == torch.float64))
        and _runs_as_it_is()
    )


def infers_here(x: Tensor) -> bool:
    """Whether convolutions of ``x`` that need no gradient run on oneDNN's fused kernels now."""
    return (
        not (torch.is_grad_enabled() and x.requires_grad)
        and fuses(x)
        and x.numel() > 0
        and _runs_as_it_is()
    )


def _runs_as_it_is() -> bool:
    """Whether nobody records, converts or watches the operators."""
    return not (
        torch.is_autocast_enabled('cpu')
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
        # somebody has asked to see what goes through all modules, as counters of FLOPs do
        or of_all._global_forward_hooks
        or of_all._global_forward_pre_hooks
        or of_all._global_backward_hooks
        or of_all._global_backward_pre_hooks
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
        and not is_observed(layer, conv, norm)
        and conv._parameters['bias'] is None
        and layer.order == ('conv', 'norm', 'act')
        and (not layer.with_activation or type(own['activate']) is nn.ReLU)
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and norm._parameters['weight'].dtype == conv._parameters['weight'].dtype
    )


def is_observed(*modules: nn.Module) -> bool:
    """Whether somebody has asked to see what goes through one of the modules."""
    for module in modules:
        if (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
        ):
            return True
    return False
