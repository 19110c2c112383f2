"""Number types: what mmcv computes in, and what the stand-ins compute in."""

import numpy as np
import torch
from torch import Tensor


def as_float32(value: float) -> float:
    """Round to float32, as the compiled operators do with every scalar they take.

    0.3 as a C float is above 0.3, which decides whether a box at an IoU of 0.3 is dropped.
    """
    return float(np.float32(value))


def widen(tensor: Tensor) -> Tensor:
    """Give float64 and float32 as they are and every other type as float32.

    torchvision has no bfloat16 kernels, and few float16 ones on CPU; the half types that
    autocast produces are computed in float32 and rounded once, at the end.
    """
    return tensor if tensor.dtype in (torch.float64, torch.float32) else tensor.float()
