"""The first half of a unit, which both ways to train it share, forward and backward."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..onednn import accumulate
from .pixels import grams, rows, transposed

norm_backward = torch.ops.aten.native_batch_norm_backward.default
conv_backward = torch.ops.aten.convolution_backward.default
mask = torch.ops.aten.threshold_backward.default
mask_out = torch.ops.aten.threshold_backward.grad_input

ALL = (True, True, True)


def normed(x: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, ...]:
    """Batch norm of this batch, whose statistics are learned: its result, the mean of each channel
    and the inverse of the standard deviation."""
    return torch.native_batch_norm(
        x, gamma, beta, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
    )


def squeeze(
    x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d
) -> tuple[Tensor, ...]:
    """Compressing convolution, batch norm, ReLU.

    Returns:
        The result, and three tensors for the backward pass.
    """
    if _folds(weight, x):
        return _folded(x, weight, gamma, beta, norm)
    compressed = F.conv2d(x, weight, groups=x.shape[1] // weight.shape[1])
    positive, mean, scale = normed(compressed, gamma, beta, norm)
    return positive.relu_(), compressed, mean, scale


def squeeze_backward(
    grad: Tensor,
    residual: Tensor | None,
    x: Tensor,
    parameters: tuple[Tensor, ...],
    saved: tuple[Tensor, ...],
    stride: int,
    eps: float,
    needs_x: bool,
) -> tuple[Tensor | None, list[Tensor]]:
    """From the gradient behind the depthwise convolution to all before it.

    Args:
        grad: behind the depthwise convolution.
        residual: the gradient that reaches the input on the other way, whose memory is used.
        x: the input.
        parameters: weight of the first convolution, weight and bias of its norm, weight of the
            depthwise convolution.
        saved: what :func:`squeeze` returned.
        stride: of the depthwise convolution.
        eps: of the norm.
        needs_x: whether the gradient of the input is needed.

    Returns:
        The gradients of the input and of ``parameters``.
    """
    weight, gamma, _, depthwise = parameters
    positive, *saved = saved
    grad, grad_depthwise, _ = conv_backward(
        grad, positive, depthwise, None, (stride, stride), (1, 1), (1, 1), False, (0, 0),
        len(depthwise), (True, True, False),
    )  # fmt: skip
    mask_out(grad, positive, 0, grad_input=grad)
    if saved[0].dim() == 3:
        grad_x, *grads = _folded_backward(grad, residual, x, weight, gamma, *saved, needs_x)
        return grad_x, [*grads, grad_depthwise]
    compressed, mean, scale = saved
    grad, grad_gamma, grad_beta = norm_backward(
        grad, compressed, gamma, None, None, mean, scale, True, eps, ALL
    )
    by_weight = grams(rows(grad), rows(x), x.shape[1] // weight.shape[1])
    grad_x = _to_input(grad, weight.view(by_weight.shape), residual) if needs_x else None
    return grad_x, [by_weight.view(weight.shape), grad_gamma, grad_beta, grad_depthwise]


def _to_input(grad: Tensor, weight: Tensor, residual: Tensor | None) -> Tensor:
    """The gradient of the input of a 1x1 convolution with weight (groups, n, k)."""
    if residual is None:
        return F.conv2d(grad, transposed(weight), groups=len(weight))
    return accumulate(residual, grad, transposed(weight), None, len(weight))


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
    residual: Tensor | None,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    wc: Tensor,
    mean_x: Tensor,
    inverse: Tensor,
    needs_x: bool,
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
    grad_x = None
    if needs_x:
        grad_x = _to_input(grad, w * scale[..., None], residual)
        again = w.transpose(1, 2) @ (w * slope[..., None])
        shift = ((offset - slope * mean)[:, None] @ w).flatten()
        grad_x = accumulate(grad_x, x, again.view(x.shape[1], -1, 1, 1), shift, len(w))
    by_weight.mul_(scale[..., None]).addcmul_(slope[..., None], wc, value=pixels)
    by_weight.addcmul_(offset[..., None], mean_x, value=pixels)
    return grad_x, by_weight.view(weight.shape), grad_gamma.flatten(), grad_beta
