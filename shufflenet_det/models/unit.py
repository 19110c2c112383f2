"""What the units of the networks share."""
import torch.utils.checkpoint as cp
from torch import Tensor, nn


class Unit(nn.Module):
    """A block that can be recomputed in the backward pass; subclasses define ``_forward``.

    Args:
        with_cp: recompute the unit in the backward pass to save memory.
    """

    def __init__(self, with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp

    def _forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up."""
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)
