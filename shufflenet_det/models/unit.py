"""What the units of the networks share: the defaults of their layers, and recomputation."""
import torch.utils.checkpoint as cp
from torch import Tensor, nn


def layer_settings(
    conv_cfg: dict | None, norm_cfg: dict | None, act_cfg: dict | None
) -> dict[str, dict | None]:
    """Arguments for mmcv's ``ConvModule``: batch norm and ReLU where nothing else is asked for."""
    return dict(
        conv_cfg=conv_cfg,
        norm_cfg=norm_cfg or dict(type='BN'),
        act_cfg=act_cfg or dict(type='ReLU'),
    )


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
