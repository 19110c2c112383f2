"""Batch normalisation that keeps its statistics."""
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def eval_batch_norms(module: nn.Module) -> None:
    """Put all batch norms inside ``module`` into evaluation mode; affine parts still train."""
    for child in module.modules():
        if isinstance(child, _BatchNorm):
            child.eval()
