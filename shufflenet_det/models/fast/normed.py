"""A training step of a unit with small maps: its layers one after another, without copies between.

What is gained on autograd's way: the gradients of the weights of narrow 1x1 group convolutions as
matrix products, which is up to twice as fast as oneDNN's; the positive part taken in place, and the
gradient of the input added as the last convolution writes it.
"""
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from .pixels import grams, rows, shuffled, transposed
from .squeeze import ALL, norm_backward, normed, squeeze, squeeze_backward

if TYPE_CHECKING:
    from ..shuffle_unit import ShuffleUnit


def forward(
    unit: 'ShuffleUnit', x: Tensor, parameters: tuple[Tensor, ...], add: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """compress, norm, ReLU; depthwise, norm; shuffle, expand, norm; add, ReLU.

    Args:
        unit: whose settings and statistics are used.
        x: its input (N, C, H, W), channels last.
        parameters: weight, and the norm's weight and bias, of each of its convolutions.
        add: what is added before the last ReLU.

    Returns:
        The residual branch, and what :func:`backward` needs.
    """
    w1, gamma1, beta1, w2, gamma2, beta2, w3, gamma3, beta3 = parameters
    norm1, norm2, norm3 = (layer.norm for layer in unit.conv_layers)
    first = squeeze(x, w1, gamma1, beta1, norm1)
    u = F.conv2d(first[0], w2, None, unit.stride, 1, groups=len(w2))
    v, mean2, scale2 = normed(u, gamma2, beta2, norm2)
    v = shuffled(v, unit.shuffle_groups)
    e = F.conv2d(v, w3, groups=len(w2) // w3.shape[1])
    out, mean3, scale3 = normed(e, gamma3, beta3, norm3)
    if add is not None:
        out.add_(add)
    return out.relu_(), (*first, u, mean2, scale2, v, e, mean3, scale3)


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

    Args:
        unit, x, parameters: as in :func:`forward`.
        grad: behind the last ReLU, where that let the value pass.
        saved: what :func:`forward` returned.
        residual: the gradient that reaches the input on the other way, whose memory is used.
        needs_x: whether the gradient of the input is needed.
    """
    w1, gamma1, beta1, w2, gamma2, _, w3, gamma3, _ = parameters
    *first, u, mean2, scale2, v, e, mean3, scale3 = saved
    eps1, eps2, eps3 = (layer.norm.eps for layer in unit.conv_layers)
    groups = len(w2) // w3.shape[1]
    grad, grad_gamma3, grad_beta3 = norm_backward(
        grad, e, gamma3, None, None, mean3, scale3, True, eps3, ALL
    )
    grad_w3 = grams(rows(grad), rows(v), groups)
    grad = F.conv2d(grad, transposed(w3.view(grad_w3.shape)), groups=groups)
    grad, grad_gamma2, grad_beta2 = norm_backward(
        shuffled(grad, len(w2) // unit.shuffle_groups), u, gamma2, None, None, mean2, scale2, True,
        eps2, ALL,
    )  # fmt: skip
    grad_x, grads = squeeze_backward(
        grad, residual, x, (w1, gamma1, beta1, w2), first, unit.stride, eps1, needs_x
    )
    grads += grad_gamma2, grad_beta2, grad_w3.view(w3.shape), grad_gamma3, grad_beta3
    return grad_x, grads
