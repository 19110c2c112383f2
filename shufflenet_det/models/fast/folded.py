"""A training step of a unit with wide maps: its last two batch norms are folded into the weights.

Between the depthwise convolution and the end of the unit all is linear but for the two batch norms.
With the covariance C of the pixels between them, which takes one small matrix product for each
group, the statistics of both are known before the expanding convolution W runs: the first needs the
diagonal of C, the second that of W C W'. So both norms are folded into W, and neither of them reads
or writes the widest maps, forward or backward. The folded convolution adds the input and takes the
positive part as it writes its result; in the backward pass the gradient of the input is added as it
is written.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from ..onednn import accumulate, add_and_relu
from .compress import compress, compress_backward
from .pixels import grams, reordered, rows, shuffled, transposed
from .step import Gradient, Step, Way


def _forward(step: Step) -> list[Tensor]:
    """compress, norm, ReLU; depthwise; norm, shuffle, expand, norm, add, ReLU."""
    settings = step.settings
    w2, gamma2, beta2, w3, gamma3, beta3 = step.parameters[3:]
    first = compress(step)
    u = F.conv2d(first[0], w2, None, [settings.stride, settings.stride], [1, 1], groups=w2.size(0))
    u = shuffled(u, settings.shuffle)

    # per group: u (M, k), then without its mean, has the covariance c (k, k); w is (n, k)
    pixels = rows(u)
    count, size = pixels.size(0), w3.size(1)
    groups = w2.size(0) // size
    w = w3.view(groups, -1, size)
    mean2 = pixels.mean(0)
    pixels.sub_(mean2)
    c = grams(pixels, pixels, groups, 1 / count)
    variance2 = c.diagonal(dim1=1, dim2=2)
    inverse2 = torch.rsqrt_(variance2 + settings.eps[1])
    scale2 = inverse2 * reordered(gamma2, settings.shuffle).view(inverse2.shape)
    wt = w * scale2.unsqueeze(1)
    wtc = wt @ c
    variance3 = (wtc * wt).sum(2).clamp_(min=0)
    inverse3 = torch.rsqrt_(variance3 + settings.eps[2])
    scale3 = inverse3 * gamma3.view(inverse3.shape)
    folded = wt * scale3.unsqueeze(2)
    added: Tensor | None = None
    if settings.stride == 1:
        added = step.x
    out = add_and_relu(u, folded.view(w3.shape), beta3, groups, added, settings.fused)

    unbiased = count / (count - 1)
    back = w2.size(0) // settings.shuffle
    mean_of2, variance_of2, mean_of3, variance_of3 = settings.statistics[2:]
    mean_of2.lerp_(reordered(mean2, back), settings.momentum[1])
    variance_of2.lerp_(reordered(variance2, back) * unbiased, settings.momentum[1])
    shown = w @ reordered(beta2, settings.shuffle).view(groups, size, 1)
    mean_of3.lerp_(shown.flatten(), settings.momentum[2])
    variance_of3.lerp_(variance3.flatten() * unbiased, settings.momentum[2])
    return [out] + first + [u, inverse2, scale2, wt, wtc, inverse3, scale3, folded]


def _backward(
    step: Step, saved: list[Tensor], gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    settings = step.settings
    w2, beta2, w3 = step.parameters[3], step.parameters[5], step.parameters[6]
    u, inverse2, scale2, wt, wtc, inverse3, scale3, folded = saved[4:]
    groups = folded.size(0)
    back = w2.size(0) // settings.shuffle
    grad = gradient.branch
    pixels = rows(grad)
    count = pixels.size(0)

    grad_beta3 = pixels.sum(0)
    grad_folded = grams(pixels, rows(u), groups)
    # folded = wt * gamma3 * inverse3, inverse3 = (diag(wt c wt') + eps) ** -0.5
    grad_gamma3 = (grad_folded * wt).sum(2).mul_(inverse3)
    grad_variance3 = (grad_gamma3 * scale3).mul_(inverse3).unsqueeze(2)
    grad_wt = grad_folded.mul_(scale3.unsqueeze(2)).addcmul_(grad_variance3, wtc, value=-1)
    grad_c = wt.transpose(1, 2) @ (grad_variance3 * wt)
    # wt = w * gamma2 * inverse2, inverse2 = (diag(c) + eps) ** -0.5
    grad_w3 = grad_wt * scale2.unsqueeze(1)
    grad_gamma2 = (grad_wt * w3.view(wt.shape)).sum(1).mul_(inverse2)
    grad_c.diagonal(dim1=1, dim2=2).add_((grad_gamma2 * scale2).mul_(inverse2))
    # c = u'u / M, which is symmetric, and so is its gradient
    grad_c.mul_(-1 / count)
    # that of u has no mean, because u had none
    mean = (grad_beta3.view(groups, 1, -1) @ folded).mul_(-1 / count)
    grad_u = F.conv2d(grad, transposed(folded), groups=groups)
    grad_u = accumulate(
        grad_u, u, grad_c.view(w2.size(0), -1, 1, 1), mean.flatten(), groups, settings.fused
    )
    grad_x, grads = compress_backward(step, saved, shuffled(grad_u, back), gradient)
    # the norm behind takes away whatever beta2 adds
    return grad_x, grads + [
        reordered(grad_gamma2, back), torch.zeros_like(beta2), grad_w3.view(w3.shape),
        grad_gamma3.flatten(), grad_beta3,
    ]  # fmt: skip


WAY = Way(_forward, _backward)
