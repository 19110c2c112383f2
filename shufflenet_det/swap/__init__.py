"""A ShuffleNet, or any backbone of this package, in the config of any MMDetection detector."""
from .levels import SwapError
from .names import DEFAULT_BACKBONE, backbone_names
from .swap import Swap, plan_swap, swap_backbone

__all__ = ['DEFAULT_BACKBONE', 'Swap', 'SwapError', 'backbone_names', 'plan_swap', 'swap_backbone']
