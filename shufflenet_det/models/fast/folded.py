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

from ..onednn import accumulate, convolve
from .compress import compress, compress_backward
from .pixels import grams, reordered, rows, shuffled, transposed
from .step import Gradient, Step


def forward(step: Step) -> tuple[Tensor, tuple[Tensor, ...]]:
    """compress, norm, ReLU; depthwise; norm, shuffle, expand, norm, add, ReLU.

    Arguments and results are those of :func:`.normed.forward`.
    """
    unit, (w2, gamma2, beta2, w3, gamma3, beta3) = step.unit, step.parameters[3:]
    norm2, norm3 = unit.depthwise_conv3x3_bn.norm, unit.g_conv_1x1_expand.norm
    first = compress(step)
    u = F.conv2d(first[0], w2, None, unit.stride, 1, groups=len(w2))
    u = shuffled(u, unit.shuffle_groups)

    # per group: u (M, k), then without its mean, has the covariance c (k, k); w is (n, k)
    pixels = rows(u)
    size = w3.shape[1]
    groups = len(w2) // size
    w = w3.view(groups, -1, size)
    mean2 = pixels.mean(0)
    pixels.sub_(mean2)
    c = grams(pixels, pixels, groups, 1 / len(pixels))
    variance2 = c.diagonal(dim1=1, dim2=2)
    inverse2 = torch.rsqrt_(variance2 + norm2.eps)
    scale2 = inverse2 * reordered(gamma2, unit.shuffle_groups).view(inverse2.shape)
    wt = w * scale2[:, None]
    wtc = wt @ c
    variance3 = (wtc * wt).sum(2).clamp_(min=0)
    inverse3 = torch.rsqrt_(variance3 + norm3.eps)
    scale3 = inverse3 * gamma3.view(inverse3.shape)
    folded = wt * scale3[..., None]
    out = convolve(u, folded.view(w3.shape), beta3, groups=groups, relu=True, add=step.added)

    unbiased = len(pixels) / (len(pixels) - 1)
    back = len(w2) // unit.shuffle_groups
    norm2.running_mean.lerp_(reordered(mean2, back), norm2.momentum)
    norm2.running_var.lerp_(reordered(variance2, back) * unbiased, norm2.momentum)
    shown = w @ reordered(beta2, unit.shuffle_groups).view(groups, size, 1)
    norm3.running_mean.lerp_(shown.flatten(), norm3.momentum)
    norm3.running_var.lerp_(variance3.flatten() * unbiased, norm3.momentum)
    return out, (*first, u, inverse2, scale2, wt, wtc, inverse3, scale3, folded)


def backward(
    step: Step, saved: tuple[Tensor, ...], gradient: Gradient
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradients of the input and of the parameters.

    Arguments and results are those of :func:`.normed.backward`.
    """
    unit, (w2, _, beta2, w3, _, _), grad = step.unit, step.parameters[3:], gradient.branch
    *first, u, inverse2, scale2, wt, wtc, inverse3, scale3, folded = saved
    groups = len(folded)
    back = len(w2) // unit.shuffle_groups
    pixels = rows(grad)

    grad_beta3 = pixels.sum(0)
    grad_folded = grams(pixels, rows(u), groups)
    # folded = wt * gamma3 * inverse3, inverse3 = (diag(wt c wt') + eps) ** -0.5
    grad_gamma3 = (grad_folded * wt).sum(2).mul_(inverse3)
    grad_variance3 = (grad_gamma3 * scale3).mul_(inverse3)[..., None]
    grad_wt = grad_folded.mul_(scale3[..., None]).addcmul_(grad_variance3, wtc, value=-1)
    grad_c = wt.transpose(1, 2) @ (grad_variance3 * wt)
    # wt = w * gamma2 * inverse2, inverse2 = (diag(c) + eps) ** -0.5
    grad_w3 = grad_wt * scale2[:, None]
    grad_gamma2 = (grad_wt * w3.view(wt.shape)).sum(1).mul_(inverse2)
    grad_c.diagonal(dim1=1, dim2=2).add_((grad_gamma2 * scale2).mul_(inverse2))
    # c = u'u / M, which is symmetric, and so is its gradient
    grad_c *= -1 / len(pixels)
    # that of u has no mean, because u had none
    mean = (grad_beta3.view(groups, 1, -1) @ folded).mul_(-1 / len(pixels))
    grad_u = F.conv2d(grad, transposed(folded), groups=groups)
    grad_u = accumulate(grad_u, u, grad_c.view(len(w2), -1, 1, 1), mean.flatten(), groups)
    grad_x, grads = compress_backward(step, first, shuffled(grad_u, back), gradient)
    # the norm behind takes away whatever beta2 adds
    grads += (
        reordered(grad_gamma2, back), torch.zeros_like(beta2), grad_w3.view(w3.shape),
        grad_gamma3.flatten(), grad_beta3,
    )  # fmt: skip
    return grad_x, grads
