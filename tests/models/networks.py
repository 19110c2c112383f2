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


def nodes_of(out: torch.Tensor) -> list[str]:
    """The names of all nodes in the graph of autograd behind a result."""
    seen, waiting = set(), [out.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
    return [node.name() for node in seen]


def functions_in(out: torch.Tensor) -> int:
    """How many units ran as one function in the training step behind a result."""
    return nodes_of(out).count('_UnitBackward')
