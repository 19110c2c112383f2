"""The first half of a unit, forward and backward: compress, norm, ReLU, depthwise convolution."""
import torch
from torch import Tensor
from torch.nn import functional as F

from ..onednn import accumulate
from .operators import batch_norm, batch_norm_backward
from .pixels import grams, rows, transposed
from .step import Gradient, Step


def compress(step: Step) -> list[Tensor]:
    """Compressing convolution, batch norm, ReLU.

    Returns:
        The result, and three tensors for the backward pass.
    """
    if step.settings.folds:
        return _folded(step)
    x, weight = step.x, step.parameters[0]
    compressed = F.conv2d(x, weight, groups=x.size(1) // weight.size(1))
    positive, mean, scale = batch_norm(step, 0, compressed)
    return [positive.relu_(), compressed, mean, scale]


def compress_backward(
    step: Step, saved: list[Tensor], grad: Tensor, gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    """From the gradient behind the depthwise convolution to all before it.

    Args:
        step: as in the forward pass.
        saved: what :func:`compress` returned, and maybe more behind that.
        grad: behind the depthwise convolution.
        gradient: what reached the unit.

    Returns:
        The gradients of the input and of the first four parameters.
    """
    x, weight, settings = step.x, step.parameters[0], step.settings
    grad, grad_depthwise = depthwise_backward(
        grad, saved[0], step.parameters[3], settings.stride
    )
    if settings.folds:
        grad_x, grads = _folded_backward(step, saved, grad, gradient)
        return grad_x, grads + [grad_depthwise]
    grad, grad_gamma, grad_beta = batch_norm_backward(step, 0, grad, saved[1:4])
    by_weight = grams(rows(grad), rows(x), x.size(1) // weight.size(1))
    grad_x = to_input(grad, weight.view(by_weight.shape), gradient, settings.fused)
    return grad_x, [by_weight.view(weight.shape), grad_gamma, grad_beta, grad_depthwise]


def depthwise_backward(
    grad: Tensor, positive: Tensor, weight: Tensor, stride: int
) -> tuple[Tensor, Tensor]:
    """From behind the depthwise convolution to before the ReLU that made its input ``positive``.

    Returns:
        The gradients of what the ReLU got and of the weight.
    """
    grad, by_weight, _ = torch.ops.aten.convolution_backward(
        grad, positive, weight, None, [stride, stride], [1, 1], [1, 1], False, [0, 0],
        weight.size(0), [True, True, False],
    )  # fmt: skip
    return torch.ops.aten.threshold_backward(grad, positive, 0, grad_input=grad), by_weight


def to_input(grad: Tensor, weight: Tensor, gradient: Gradient, fused: bool) -> Tensor | None:
    """The gradient of a unit's input, by its first convolution's weight (groups, n, k)."""
    if not gradient.needs_x:
        return None
    back, groups, residual = transposed(weight), weight.size(0), gradient.residual
    if residual is None:
        return F.conv2d(grad, back, groups=groups)
    return accumulate(residual, grad, back, None, groups, fused)


def folds(weight: Tensor, x: Tensor) -> bool:
    """Whether the input has fewer channels than the result, as in the network's first unit: then
    its covariance is had for less than a look at the result."""
    return x.shape[1] <= len(weight)


def _folded(step: Step) -> list[Tensor]:
    x, (weight, gamma, beta), settings = step.x, step.parameters[:3], step.settings
    pixels = rows(x)
    count = pixels.size(0)
    groups = x.size(1) // weight.size(1)
    w = weight.view(groups, -1, weight.size(1))
    mean_x = pixels.mean(0).view(groups, 1, -1)
    c = grams(pixels, pixels, groups, 1 / count)
    wc = w @ c.baddbmm_(mean_x.transpose(1, 2), mean_x, alpha=-1)
    variance = (wc * w).sum(2).clamp_(min=0)
    inverse = torch.rsqrt_(variance + settings.eps[0])
    mean = (w * mean_x).sum(2)
    settings.statistics[0].lerp_(mean.flatten(), settings.momentum[0])
    settings.statistics[1].lerp_(variance.flatten() * (count / (count - 1)), settings.momentum[0])
    scale = inverse * gamma.view(inverse.shape)
    bias = beta - (scale * mean).flatten()
    positive = F.conv2d(x, (w * scale.unsqueeze(2)).view(weight.shape), bias, groups=groups)
    return [positive.relu_(), wc, mean_x, inverse]


def _folded_backward(
    step: Step, saved: list[Tensor], grad: Tensor, gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradients of the input, the weight, and the norm's weight and bias."""
    x, (weight, gamma), (wc, mean_x, inverse) = step.x, step.parameters[:2], saved[1:4]
    by_pixel = rows(grad)
    pixels = by_pixel.size(0)
    w = weight.view(wc.shape)
    groups = w.size(0)
    scale = inverse * gamma.view(inverse.shape)
    mean = (w * mean_x).sum(2)
    grad_beta = by_pixel.sum(0)
    total = grad_beta.view(inverse.shape)
    by_weight = grams(by_pixel, rows(x), groups)
    grad_gamma = ((by_weight * w).sum(2) - mean * total).mul_(inverse)
    # that of the convolution is scale * grad + slope * (w x - mean) + offset
    slope = scale * inverse * grad_gamma / -pixels
    offset = scale * total / -pixels
    grad_x = to_input(grad, w * scale.unsqueeze(2), gradient, step.settings.fused)
    if grad_x is not None:
        again = w.transpose(1, 2) @ (w * slope.unsqueeze(2))
        shift = ((offset - slope * mean).unsqueeze(1) @ w).flatten()
        again = again.view(x.size(1), -1, 1, 1)
        grad_x = accumulate(grad_x, x, again, shift, groups, step.settings.fused)
    by_weight.mul_(scale.unsqueeze(2)).addcmul_(slope.unsqueeze(2), wc, value=pixels)
    by_weight.addcmul_(offset.unsqueeze(2), mean_x, value=pixels)
    return grad_x, [by_weight.view(weight.shape), grad_gamma.flatten(), grad_beta]
