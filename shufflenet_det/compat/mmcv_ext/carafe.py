"""CARAFE upsampling (``csrc/common/cuda/carafe_naive_cuda_kernel.cuh``).

Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", ICCV 2019. mmcv has it on CUDA only,
twice: the second kernel wants buffers in another memory layout, which are not needed here.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ._precision import widen


def _per_subpixel(image: Tensor, group_size: int, scale_factor: int) -> Tensor:
    """[N, G * c, H * s, W * s] -> [N, G, c, H, s, W, s]."""
    split = image.unflatten(3, (-1, scale_factor)).unflatten(2, (-1, scale_factor))
    return split.unflatten(1, (group_size, -1))


def _neighbours(features: Tensor, kernel_size: int) -> Iterator[tuple[int, Tensor]]:
    """The map seen from each place of the kernel, row by row: place and view [N, C, H, W]."""
    reach = (kernel_size - 1) // 2
    padded = F.pad(features, (reach,) * 4)
    height, width = features.shape[2:]
    for place in range(kernel_size ** 2):
        y, x = divmod(place, kernel_size)
        yield place, padded[:, :, y:y + height, x:x + width]


def carafe_naive_forward(features: Tensor, masks: Tensor, output: Tensor, kernel_size: int,
                         group_size: int, scale_factor: int) -> None:
    """Fill ``output`` with a weighted sum of the neighbourhood each pixel comes from.

    Args:
        features: [N, C, H, W].
        masks: weights [N, group_size * kernel_size^2, H * scale_factor, W * scale_factor].
        output: output, [N, C, H * scale_factor, W * scale_factor].
        kernel_size: side of the neighbourhood, odd.
        group_size: groups of channels with weights of their own.
        scale_factor: enlargement.
    """
    weights = _per_subpixel(widen(masks), group_size, scale_factor)
    total = _per_subpixel(torch.zeros_like(widen(output)), group_size, scale_factor)
    for place, view in _neighbours(widen(features), kernel_size):
        view = view.unflatten(1, (group_size, -1))[:, :, :, :, None, :, None]
        total.addcmul_(view, weights[:, :, place, None])
    output.copy_(total.reshape(output.shape))


def carafe_naive_backward(top_grad: Tensor, features: Tensor, masks: Tensor, bottom_grad: Tensor,
                          mask_grad: Tensor, kernel_size: int, group_size: int,
                          scale_factor: int) -> None:
    """Add the gradients of ``features`` and ``masks`` to ``bottom_grad`` and ``mask_grad``.

    ``top_grad`` is shaped like the output; the other arguments are those of the forward pass.
    """
    weights = _per_subpixel(widen(masks), group_size, scale_factor)
    grad = _per_subpixel(widen(top_grad), group_size, scale_factor)
    weights_grad = torch.empty_like(weights)
    features = widen(features)
    features_grad = F.pad(torch.zeros_like(features), ((kernel_size - 1) // 2,) * 4)
    height, width = features.shape[2:]
    for place, view in _neighbours(features, kernel_size):
        view = view.unflatten(1, (group_size, -1))[:, :, :, :, None, :, None]
        weights_grad[:, :, place] = (grad * view).sum(2)
        y, x = divmod(place, kernel_size)
        passed = (grad * weights[:, :, place, None]).sum((4, 6)).flatten(1, 2)
        features_grad[:, :, y:y + height, x:x + width] += passed
    reach = (kernel_size - 1) // 2
    bottom_grad.add_(features_grad[:, :, reach:reach + height, reach:reach + width])
    mask_grad.add_(weights_grad.reshape(mask_grad.shape))


def carafe_forward(features: Tensor, masks: Tensor, rfeatures: Tensor, routput: Tensor,
                   rmasks: Tensor, output: Tensor, kernel_size: int, group_size: int,
                   scale_factor: int) -> None:
    """Do as :func:`carafe_naive_forward`, and keep ``features`` in ``rfeatures``.

    mmcv hands ``rfeatures`` to the backward pass; ``routput`` and ``rmasks`` are not used.
    """
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


def carafe_backward(top_grad: Tensor, rfeatures: Tensor, masks: Tensor, rtop_grad: Tensor,
                    rbottom_grad_hs: Tensor, rbottom_grad: Tensor, rmask_grad: Tensor,
                    bottom_grad: Tensor, mask_grad: Tensor, kernel_size: int, group_size: int,
                    scale_factor: int) -> None:
    """Do as :func:`carafe_naive_backward`; the other gradient buffers are not used."""
    carafe_naive_backward(top_grad, rfeatures, masks, bottom_grad, mask_grad, kernel_size,
                          group_size, scale_factor)


OPERATORS = {
    'carafe_forward': carafe_forward,
    'carafe_backward': carafe_backward,
    'carafe_naive_forward': carafe_naive_forward,
    'carafe_naive_backward': carafe_naive_backward,
}
