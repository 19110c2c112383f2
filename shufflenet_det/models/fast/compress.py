"""The first half of a unit, forward and backward: compress, norm, ReLU, depthwise convolution."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..onednn import accumulate
from .operators import ALL, batch_norm, conv_backward, mask_into, norm_backward
from .pixels import grams, rows, transposed
from .step import Gradient, Step


def compress(step: Step) -> tuple[Tensor, ...]:
    """Compressing convolution, batch norm, ReLU.

    Returns:
        The result, and three tensors for the backward pass.
    """
    x, (weight, gamma, beta) = step.x, step.parameters[:3]
    norm = step.unit.g_conv_1x1_compress.norm
    if _folds(weight, x):
        return _folded(x, weight, gamma, beta, norm)
    compressed = F.conv2d(x, weight, groups=x.shape[1] // weight.shape[1])
    positive, mean, scale = batch_norm(compressed, gamma, beta, norm)
    return positive.relu_(), compressed, mean, scale


def compress_backward(
    step: Step, saved: tuple[Tensor, ...], grad: Tensor, gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    """From the gradient behind the depthwise convolution to all before it.

    Args:
        step: as in the forward pass.
        saved: what :func:`compress` returned.
        grad: behind the depthwise convolution.
        gradient: what reached the unit.

    Returns:
        The gradients of the input and of the first four parameters.
    """
    x, (weight, gamma, _, depthwise) = step.x, step.parameters[:4]
    positive, *saved = saved
    grad, grad_depthwise, _ = depthwise_backward(grad, positive, depthwise, step.unit.stride)
    if saved[0].dim() == 3:
        grad_x, *grads = _folded_backward(grad, gradient, x, weight, gamma, *saved)
        return grad_x, [*grads, grad_depthwise]
    compressed, mean, scale = saved
    grad, grad_gamma, grad_beta = norm_backward(
        grad, compressed, gamma, None, None, mean, scale, True,
        step.unit.g_conv_1x1_compress.norm.eps, ALL,
    )  # fmt: skip
    by_weight = grams(rows(grad), rows(x), x.shape[1] // weight.shape[1])
    grad_x = to_input(grad, weight.view(by_weight.shape), gradient)
    return grad_x, [by_weight.view(weight.shape), grad_gamma, grad_beta, grad_depthwise]


def depthwise_backward(
    grad: Tensor, positive: Tensor, weight: Tensor, stride: int, with_bias: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """From behind the depthwise convolution to before the ReLU that made its input ``positive``.

    Returns:
        The gradients of what the ReLU got, of the weight, and ``with_bias`` of the bias.
    """
    width = len(weight)
    grad, by_weight, by_bias = conv_backward(
        grad, positive, weight, [width] if with_bias else None, (stride, stride), (1, 1), (1, 1),
        False, (0, 0), width, (True, True, with_bias),
    )  # fmt: skip
    mask_into(grad, positive, 0, grad_input=grad)
    return grad, by_weight, by_bias


def to_input(grad: Tensor, weight: Tensor, gradient: Gradient) -> Tensor | None:
    """The gradient of a unit's input, by its first convolution's weight (groups, n, k)."""
    if not gradient.needs_x:
        return None
    back = transposed(weight)
    if gradient.residual is None:
        return F.conv2d(grad, back, groups=len(weight))
    return accumulate(gradient.residual, grad, back, None, len(weight))


def _folds(weight: Tensor, x: Tensor) -> bool:
    """Whether the input has fewer channels than the result, as in the network's first unit: then
    its covariance is had for less than a look at the result."""
    return x.shape[1] <= len(weight)


def _folded(
    x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d
) -> tuple[Tensor, ...]:
    pixels = rows(x)
    groups = x.shape[1] // weight.shape[1]
    w = weight.view(groups, -1, weight.shape[1])
    mean_x = pixels.mean(0).view(groups, 1, -1)
    c = grams(pixels, pixels, groups, 1 / len(pixels))
    wc = w @ c.baddbmm_(mean_x.transpose(1, 2), mean_x, alpha=-1)
    variance = (wc * w).sum(2).clamp_(min=0)
    inverse = torch.rsqrt_(variance + norm.eps)
    mean = (w * mean_x).sum(2)
    norm.running_mean.lerp_(mean.flatten(), norm.momentum)
    norm.running_var.lerp_(
        variance.flatten() * (len(pixels) / (len(pixels) - 1)), norm.momentum
    )
    scale = inverse * gamma.view(inverse.shape)
    bias = beta - (scale * mean).flatten()
    positive = F.conv2d(x, (w * scale[..., None]).view(weight.shape), bias, groups=groups)
    return positive.relu_(), wc, mean_x, inverse


def _folded_backward(
    grad: Tensor,
    gradient: Gradient,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    wc: Tensor,
    mean_x: Tensor,
    inverse: Tensor,
) -> tuple[Tensor | None, ...]:
    """The gradients of the input, the weight, and the norm's weight and bias."""
    pixels = len(rows(grad))
    w = weight.view(wc.shape)
    scale = inverse * gamma.view(inverse.shape)
    mean = (w * mean_x).sum(2)
    grad_beta = rows(grad).sum(0)
    total = grad_beta.view(inverse.shape)
    by_weight = grams(rows(grad), rows(x), len(w))
    grad_gamma = ((by_weight * w).sum(2) - mean * total).mul_(inverse)
    # that of the convolution is scale * grad + slope * (w x - mean) + offset
    slope = scale * inverse * grad_gamma / -pixels
    offset = scale * total / -pixels
    grad_x = to_input(grad, w * scale[..., None], gradient)
    if grad_x is not None:
        again = w.transpose(1, 2) @ (w * slope[..., None])
        shift = ((offset - slope * mean)[:, None] @ w).flatten()
        grad_x = accumulate(grad_x, x, again.view(x.shape[1], -1, 1, 1), shift, len(w))
    by_weight.mul_(scale[..., None]).addcmul_(slope[..., None], wc, value=pixels)
    by_weight.addcmul_(offset[..., None], mean_x, value=pixels)
    return grad_x, by_weight.view(weight.shape), grad_gamma.flatten(), grad_beta
