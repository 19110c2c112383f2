"""The two halves of mmcv's masked convolution (``csrc/common/cuda/masked_conv2d_cuda_kernel.cuh``).

Both work on one image and on P positions of its output, given as a row and a column each.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def masked_im2col_forward(im: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, col: Tensor,
                          kernel_h: int, kernel_w: int, pad_h: int, pad_w: int) -> None:
    """Fill ``col`` with the windows of a stride 1 convolution around some positions.

    Args:
        im: feature map [1, C, H, W].
        mask_h_idx: rows, [P].
        mask_w_idx: columns, [P].
        col: output, [C * kernel_h * kernel_w, P].
        kernel_h: height of the window.
        kernel_w: width of the window.
        pad_h: zero padding above and below.
        pad_w: zero padding left and right.
    """
    # Positions are those of the mask, which has the size of the input: with less padding than the
    # kernel asks for, windows cross the far edges, where they read zeros.
    padded = F.pad(im[0], (pad_w, kernel_w, pad_h, kernel_h))
    rows = mask_h_idx + torch.arange(kernel_h, device=im.device)[:, None, None]
    columns = mask_w_idx + torch.arange(kernel_w, device=im.device)[:, None]
    col.copy_(padded[:, rows, columns].flatten(0, 2))


def masked_col2im_forward(col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor,
                          height: int, width: int, channels: int) -> None:
    """Write the columns ``col`` [channels, P] to their positions in ``im``.

    ``im`` is [1, channels, height, width]; other positions keep their value.
    """
    im[0][:, mask_h_idx, mask_w_idx] = col


OPERATORS = {
    'masked_im2col_forward': masked_im2col_forward,
    'masked_col2im_forward': masked_col2im_forward,
}
