"""Networks for tests of their results."""
import torch
from mmdet.registry import MODELS
from torch import nn


def used(cfg: dict) -> nn.Module:
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval()


def assert_same(a: torch.Tensor, b: torch.Tensor) -> None:
    """That two results differ by rounding at most."""
    assert (a - b).abs().max() <= 1e-5 * b.abs().max()
