"""A training step of a unit whose batch norms keep their statistics, as detectors are fine-tuned.

Such a norm is a factor and a shift of each channel, which are folded into the convolution before
it; the gradients of the norm's weight and bias are those of factor and shift.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from ..onednn import add_and_relu
from .compress import depthwise_backward, to_input
from .pixels import grams, per_filter, rows, shuffled, transposed
from .step import Gradient, Step, Way


def _forward(step: Step) -> list[Tensor]:
    """compress, norm, ReLU; depthwise, norm; shuffle, expand, norm; add, ReLU."""
    settings = step.settings
    x = step.x
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    means: list[Tensor] = []
    inverses: list[Tensor] = []
    for i in range(3):
        weight, gamma, beta = step.parameters[3 * i : 3 * i + 3]
        # copies: other statistics may be loaded before the backward pass
        means.append(settings.statistics[2 * i].clone())
        inverses.append(torch.rsqrt_(settings.statistics[2 * i + 1] + settings.eps[i]))
        scale = gamma * inverses[i]
        weights.append(weight * per_filter(scale))
        biases.append(torch.addcmul(beta, means[i], scale, value=-1))
    w1, w2, w3 = weights
    positive = F.conv2d(x, w1, biases[0], groups=x.size(1) // w1.size(1)).relu_()
    stride, width = [settings.stride, settings.stride], w2.size(0)
    u = F.conv2d(positive, w2, biases[1], stride, [1, 1], groups=width)
    v = shuffled(u, settings.shuffle)
    added: Tensor | None = None
    if settings.stride == 1:
        added = x
    out = add_and_relu(v, w3, biases[2], width // w3.size(1), added, settings.fused)
    return [out, positive, v] + means + inverses


def _backward(
    step: Step, saved: list[Tensor], gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    settings = step.settings
    x = step.x
    w1, gamma1, _, w2, gamma2, _, w3, gamma3, _ = step.parameters
    positive, v, mean1, mean2, mean3, inverse1, inverse2, inverse3 = saved
    grad = gradient.branch
    groups = w2.size(0) // w3.size(1)

    shift3 = rows(grad).sum(0)
    by_weight = grams(rows(grad), rows(v), groups)
    third = _unfolded(by_weight.view(w3.shape), shift3, w3, gamma3, mean3, inverse3)
    back = transposed((w3 * per_filter(gamma3 * inverse3)).view(by_weight.shape))
    grad = shuffled(F.conv2d(grad, back, groups=groups), w2.size(0) // settings.shuffle)

    shift2 = rows(grad).sum(0)
    scaled = w2 * per_filter(gamma2 * inverse2)
    grad, by_depthwise = depthwise_backward(grad, positive, scaled, settings.stride)
    second = _unfolded(by_depthwise, shift2, w2, gamma2, mean2, inverse2)

    shift1 = rows(grad).sum(0)
    by_weight = grams(rows(grad), rows(x), x.size(1) // w1.size(1))
    first = _unfolded(by_weight.view(w1.shape), shift1, w1, gamma1, mean1, inverse1)
    weight = (w1 * per_filter(gamma1 * inverse1)).view(by_weight.shape)
    return to_input(grad, weight, gradient, settings.fused), first + second + third


def _unfolded(
    by_weight: Tensor, shift: Tensor, weight: Tensor, gamma: Tensor, mean: Tensor, inverse: Tensor
) -> list[Tensor]:
    """From the gradients of the folded weight and of the shift to those of the convolution's
    weight and of the norm's weight and bias."""
    by_scale = (by_weight * weight).flatten(1).sum(1).addcmul_(shift, mean, value=-1)
    return [by_weight * per_filter(gamma * inverse), by_scale.mul_(inverse), shift]


WAY = Way(_forward, _backward)
