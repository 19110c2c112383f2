"""A training step of a unit whose batch norms keep their statistics, as detectors are fine-tuned.

Such a norm is a factor and a shift of each channel, which are folded into the convolution before
it; the gradients of the norm's weight and bias are those of factor and shift.
"""
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..onednn import accumulate, convolve
from .pixels import grams, rows, shuffled, transposed
from .squeeze import conv_backward, mask_out

if TYPE_CHECKING:
    from ..shuffle_unit import ShuffleUnit


def forward(
    unit: 'ShuffleUnit', x: Tensor, parameters: tuple[Tensor, ...], add: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """compress, norm, ReLU; depthwise, norm; shuffle, expand, norm; add, ReLU.

    Arguments and results are those of :func:`.normed.forward`.
    """
    # copies: other statistics may be loaded before the backward pass
    means = [layer.norm.running_mean.clone() for layer in unit.conv_layers]
    inverses = [
        torch.rsqrt_(layer.norm.running_var + layer.norm.eps) for layer in unit.conv_layers
    ]
    (w1, b1), (w2, b2), (w3, b3) = (
        _folded(*parameters[3 * i : 3 * i + 3], means[i], inverses[i]) for i in range(3)
    )
    positive = F.conv2d(x, w1, b1, groups=x.shape[1] // w1.shape[1]).relu_()
    u = F.conv2d(positive, w2, b2, unit.stride, 1, groups=len(w2))
    v = shuffled(u, unit.shuffle_groups)
    out = convolve(v, w3, b3, groups=len(w2) // w3.shape[1], relu=True, add=add)
    return out, (positive, v, *means, *inverses)


def backward(
    unit: 'ShuffleUnit',
    grad: Tensor,
    x: Tensor,
    parameters: tuple[Tensor, ...],
    saved: tuple[Tensor, ...],
    residual: Tensor | None,
    needs_x: bool,
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradients of the input and of the parameters.

    Arguments and results are those of :func:`.normed.backward`.
    """
    w1, gamma1, _, w2, gamma2, _, w3, gamma3, _ = parameters
    positive, v, mean1, mean2, mean3, inverse1, inverse2, inverse3 = saved
    groups = len(w2) // w3.shape[1]

    shift3 = rows(grad).sum(0)
    by_weight = grams(rows(grad), rows(v), groups)
    third = _unfolded(by_weight.view(w3.shape), shift3, w3, gamma3, mean3, inverse3)
    back = transposed((w3 * _filter(gamma3 * inverse3)).view(by_weight.shape))
    grad = shuffled(F.conv2d(grad, back, groups=groups), len(w2) // unit.shuffle_groups)

    grad, by_weight, shift2 = conv_backward(
        grad, positive, w2 * _filter(gamma2 * inverse2), [len(w2)], (unit.stride,) * 2, (1, 1),
        (1, 1), False, (0, 0), len(w2), (True, True, True),
    )  # fmt: skip
    second = _unfolded(by_weight, shift2, w2, gamma2, mean2, inverse2)
    mask_out(grad, positive, 0, grad_input=grad)

    shift1 = rows(grad).sum(0)
    by_weight = grams(rows(grad), rows(x), x.shape[1] // w1.shape[1])
    first = _unfolded(by_weight.view(w1.shape), shift1, w1, gamma1, mean1, inverse1)
    grad_x = None
    if needs_x:
        back = transposed((w1 * _filter(gamma1 * inverse1)).view(by_weight.shape))
        if residual is None:
            grad_x = F.conv2d(grad, back, groups=len(by_weight))
        else:
            grad_x = accumulate(residual, grad, back, None, len(by_weight))
    return grad_x, [*first, *second, *third]


def _folded(
    weight: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its norm."""
    scale = gamma * inverse
    return weight * _filter(scale), torch.addcmul(beta, mean, scale, value=-1)


def _unfolded(
    by_weight: Tensor, shift: Tensor, weight: Tensor, gamma: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From the gradients of the folded weight and of the shift to those of the convolution's
    weight and of the norm's weight and bias."""
    by_scale = (by_weight * weight).flatten(1).sum(1).addcmul_(shift, mean, value=-1)
    return by_weight * _filter(gamma * inverse), by_scale.mul_(inverse), shift


def _filter(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
