"""A training step of a unit whose batch norms keep their statistics, as detectors are fine-tuned.

Such a norm is a factor and a shift of each channel, which are folded into the convolution before
it; the gradients of the norm's weight and bias are those of factor and shift.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from ..onednn import convolve
from .compress import depthwise_backward, to_input
from .pixels import grams, per_filter, rows, shuffled, transposed
from .step import Gradient, Step


def forward(step: Step) -> tuple[Tensor, tuple[Tensor, ...]]:
    """compress, norm, ReLU; depthwise, norm; shuffle, expand, norm; add, ReLU.

    Arguments and results are those of :func:`.normed.forward`.
    """
    unit, x, parameters = step
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
    out = convolve(v, w3, b3, groups=len(w2) // w3.shape[1], relu=True, add=step.added)
    return out, (positive, v, *means, *inverses)


def backward(
    step: Step, saved: tuple[Tensor, ...], gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradients of the input and of the parameters.

    Arguments and results are those of :func:`.normed.backward`.
    """
    unit, x, (w1, gamma1, _, w2, gamma2, _, w3, gamma3, _) = step
    positive, v, mean1, mean2, mean3, inverse1, inverse2, inverse3 = saved
    grad = gradient.branch
    groups = len(w2) // w3.shape[1]

    shift3 = rows(grad).sum(0)
    by_weight = grams(rows(grad), rows(v), groups)
    third = _unfolded(by_weight.view(w3.shape), shift3, w3, gamma3, mean3, inverse3)
    back = transposed((w3 * per_filter(gamma3 * inverse3)).view(by_weight.shape))
    grad = shuffled(F.conv2d(grad, back, groups=groups), len(w2) // unit.shuffle_groups)

    grad, by_weight, shift2 = depthwise_backward(
        grad, positive, w2 * per_filter(gamma2 * inverse2), unit.stride, with_bias=True
    )
    second = _unfolded(by_weight, shift2, w2, gamma2, mean2, inverse2)

    shift1 = rows(grad).sum(0)
    by_weight = grams(rows(grad), rows(x), x.shape[1] // w1.shape[1])
    first = _unfolded(by_weight.view(w1.shape), shift1, w1, gamma1, mean1, inverse1)
    weight = (w1 * per_filter(gamma1 * inverse1)).view(by_weight.shape)
    grad_x = to_input(grad, weight, gradient)
    return grad_x, [*first, *second, *third]


def _folded(
    weight: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its norm."""
    scale = gamma * inverse
    return weight * per_filter(scale), torch.addcmul(beta, mean, scale, value=-1)


def _unfolded(
    by_weight: Tensor, shift: Tensor, weight: Tensor, gamma: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From the gradients of the folded weight and of the shift to those of the convolution's
    weight and of the norm's weight and bias."""
    by_scale = (by_weight * weight).flatten(1).sum(1).addcmul_(shift, mean, value=-1)
    return by_weight * per_filter(gamma * inverse), by_scale.mul_(inverse), shift
