"""A training step of the ShuffleNet unit on CPU, as one function.

The same parameters, results and gradients as the layers one after another, up to rounding, in less
time and memory:

- Pixels are the outermost dimension in memory (channels last), where the 1x1 group convolution is
  a matrix product. The gradient of its weight is taken as such, which for narrow groups is about
  twice as fast as oneDNN's.
- Between the depthwise convolution and the end of the unit all is linear but for the two batch
  norms. With the covariance C of the pixels between them, which takes one small matrix product for
  each group, the statistics of both are known before the expanding convolution W runs: the first
  needs the diagonal of C, the second that of W C W'. So both norms are folded into W, and neither
  of them reads or writes the widest maps, forward or backward.
- The folded convolution adds the input and takes the positive part as it writes its result; in the
  backward pass the gradient of the input is added as it is written.
"""
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .onednn import accumulate, convolve, fuses
from .shuffle import channel_shuffle

if TYPE_CHECKING:
    from .shuffle_unit import ShuffleUnit

_aten = torch.ops.aten
# from as many groups on, one batched product is faster than a product for each group
_MANY_GROUPS = 5
# below as many values in the widest map it stays in the cache, and the few dozen small operations
# on covariances take longer than they save; with narrower groups the products are slow
_FEWEST_VALUES = 1_400_000
_NARROWEST_GROUP = 12


def fits(unit: 'ShuffleUnit', x: Tensor) -> bool:
    """Whether this is a training step that :func:`train_unit` can take."""
    layers = (unit.g_conv_1x1_compress, unit.depthwise_conv3x3_bn, unit.g_conv_1x1_expand)
    return (
        unit.fast
        and unit.training
        and torch.is_grad_enabled()
        and (fuses(x) or (x.device.type == 'cpu' and x.dtype == torch.float64))
        and not (torch.jit.is_tracing() or torch.compiler.is_compiling())
        and not torch.is_autocast_enabled('cpu')
        and isinstance(unit.se, nn.Identity)
        and type(unit.act) is nn.ReLU
        and all(map(_is_plain, layers))
        and _pays(unit, x)
    )


def _pays(unit: 'ShuffleUnit', x: Tensor) -> bool:
    """Whether it is faster, by measurements on two cores (docs/performance.md)."""
    expand = unit.g_conv_1x1_expand.conv
    pixels = x.shape[0] * -(-x.shape[2] // unit.stride) * -(-x.shape[3] // unit.stride)
    wide_enough = expand.in_channels >= _NARROWEST_GROUP * expand.groups
    return wide_enough and pixels * expand.out_channels >= _FEWEST_VALUES


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer is a convolution and a batch norm of this batch's statistics, unobserved."""
    return (
        isinstance(layer, ConvModule)
        and type(layer.conv) is nn.Conv2d
        and layer.conv.bias is None
        and layer.order == ('conv', 'norm', 'act')
        and (not layer.with_activation or type(layer.activate) is nn.ReLU)
        and type(layer.norm) is nn.BatchNorm2d
        and layer.norm.training
        and layer.norm.affine
        and layer.norm.track_running_stats
        and layer.norm.momentum is not None
        and layer.norm.weight.dtype == layer.conv.weight.dtype
        and not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks
                    for m in (layer, layer.conv, layer.norm))
    )  # fmt: skip


def train_unit(unit: 'ShuffleUnit', x: Tensor) -> Tensor:
    """The residual branch (N, C, H, W), with the input added at stride 1, positive part taken."""
    layers = (unit.g_conv_1x1_compress, unit.depthwise_conv3x3_bn, unit.g_conv_1x1_expand)
    parameters = [p for m in layers for p in (m.conv.weight, m.norm.weight, m.norm.bias)]
    return _UnitFunction.apply(x, unit, *parameters)


class _UnitFunction(torch.autograd.Function):
    """compress, norm, ReLU; depthwise; norm, shuffle, expand, norm, add, ReLU."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, unit: 'ShuffleUnit',
        w1: Tensor, gamma1: Tensor, beta1: Tensor,
        w2: Tensor, gamma2: Tensor, beta2: Tensor,
        w3: Tensor, gamma3: Tensor, beta3: Tensor,
    ) -> Tensor:  # fmt: skip
        norm1, norm2, norm3 = (
            layer.norm
            for layer in (
                unit.g_conv_1x1_compress, unit.depthwise_conv3x3_bn, unit.g_conv_1x1_expand
            )
        )  # fmt: skip
        for norm in (norm1, norm2, norm3):
            norm.num_batches_tracked.add_(1)
        x = _channels_last(x)
        first, groups = (
            layer.conv.groups for layer in (unit.g_conv_1x1_compress, unit.g_conv_1x1_expand)
        )
        width, stride = len(w2), (unit.stride, unit.stride)

        compressed = convolve(x, w1, groups=first)
        positive, mean1, scale1 = _aten.native_batch_norm(
            compressed, gamma1, beta1, norm1.running_mean, norm1.running_var, True,
            norm1.momentum, norm1.eps,
        )  # fmt: skip
        positive.relu_()
        u = convolve(positive, w2, None, stride, (1, 1), groups=width)
        u = _shuffled(u, unit.shuffle_groups)
        order = _order(width, unit.shuffle_groups)

        # per group: u (M, k), then without its mean, has the covariance c (k, k); w is (n, k)
        pixels = u.shape[0] * u.shape[2] * u.shape[3]
        size = width // groups
        w = w3.view(groups, -1, size)
        mean2 = _rows(u).sum(0).div_(pixels)
        _rows(u).sub_(mean2)
        c = _grams(_rows(u), _rows(u), groups).div_(pixels)
        variance2 = c.diagonal(dim1=1, dim2=2)
        inverse2 = (variance2 + norm2.eps).rsqrt_()
        wt = w * (gamma2[order].view(groups, size) * inverse2)[:, None]
        wtc = wt @ c
        variance3 = (wtc * wt).sum(2).clamp_(min=0)
        inverse3 = (variance3 + norm3.eps).rsqrt_()
        folded = wt * (gamma3.view_as(inverse3) * inverse3)[..., None]

        unbiased = pixels / (pixels - 1)
        norm2.running_mean.mul_(1 - norm2.momentum).index_add_(
            0, order, mean2, alpha=norm2.momentum
        )
        norm2.running_var.mul_(1 - norm2.momentum).index_add_(
            0, order, variance2.flatten(), alpha=norm2.momentum * unbiased
        )
        shown = beta2[order].view(groups, size, 1)
        norm3.running_mean.lerp_((w @ shown).flatten(), norm3.momentum)
        norm3.running_var.lerp_(variance3.flatten() * unbiased, norm3.momentum)

        out = convolve(
            u, folded.view_as(w3), beta3, groups=groups, relu=True,
            add=x if unit.stride == 1 else None,
        )  # fmt: skip
        ctx.save_for_backward(
            x, w1, gamma1, w2, gamma2, w3, gamma3, compressed, positive, mean1, scale1, u, c,
            inverse2, inverse3, folded, out,
        )  # fmt: skip
        ctx.settings = first, groups, unit.shuffle_groups, unit.stride, norm1.eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (
            x, w1, gamma1, w2, gamma2, w3, gamma3, compressed, positive, mean1, scale1, u, c,
            inverse2, inverse3, folded, out,
        ) = ctx.saved_tensors  # fmt: skip
        first, groups, shuffle_groups, stride, eps = ctx.settings
        pixels = u.shape[0] * u.shape[2] * u.shape[3]
        order = _order(len(w2), shuffle_groups)
        w = w3.view_as(folded)
        gamma2 = gamma2[order].view_as(inverse2)
        wt = w * (gamma2 * inverse2)[:, None]
        wtc = wt @ c

        grad = _aten.threshold_backward(_channels_last(grad), out, 0)
        grad_beta3 = _rows(grad).sum(0)
        grad_folded = _grams(_rows(grad), _rows(u), groups)
        # folded = wt * gamma3 * inverse3, inverse3 = (diag(wt c wt') + eps) ** -0.5
        grad_scale3 = (grad_folded * wt).sum(2)
        grad_gamma3 = (grad_scale3 * inverse3).flatten()
        gamma3 = gamma3.view_as(inverse3)
        grad_variance3 = (-0.5 * grad_scale3 * gamma3 * inverse3**3)[..., None]
        grad_wt = grad_folded.mul_((gamma3 * inverse3)[..., None])
        grad_wt.addcmul_(grad_variance3, wtc, value=2)
        grad_c = wt.transpose(1, 2) @ (grad_variance3 * wt)
        # wt = w * gamma2 * inverse2, inverse2 = (diag(c) + eps) ** -0.5
        grad_w3 = grad_wt * (gamma2 * inverse2)[:, None]
        grad_scale2 = (grad_wt * w).sum(1)
        grad_gamma2 = torch.empty_like(gamma1)
        grad_gamma2[order] = (grad_scale2 * inverse2).flatten()
        grad_c.diagonal(dim1=1, dim2=2).add_(-0.5 * grad_scale2 * gamma2 * inverse2**3)
        # c = u'u / M, which is symmetric, and so is its gradient
        grad_c *= 2 / pixels
        # that of u has no mean, because u had none
        mean = grad_beta3.view(groups, 1, -1) @ folded / -pixels
        grad_u = convolve(grad, _transposed(folded), groups=groups)
        grad_u = accumulate(grad_u, u, grad_c.view(len(w2), -1, 1, 1), mean.flatten(), groups)

        grad_depthwise = _shuffled(grad_u, len(w2) // shuffle_groups)
        grad_positive, grad_w2, _ = _aten.convolution_backward(
            grad_depthwise, positive, w2, None, (stride, stride), (1, 1), (1, 1), False, (0, 0),
            len(w2), (True, True, False),
        )  # fmt: skip
        _aten.threshold_backward(grad_positive, positive, 0, grad_input=grad_positive)
        grad_compressed, grad_gamma1, grad_beta1 = _aten.native_batch_norm_backward(
            grad_positive, compressed, gamma1, None, None, mean1, scale1, True, eps,
            (True, True, True),
        )  # fmt: skip
        grad_w1 = _grams(_rows(grad_compressed), _rows(x), first)
        grad_x = None
        if ctx.needs_input_grad[0]:
            weight = _transposed(w1.view(first, -1, w1.shape[1]))
            if stride == 1:
                grad_x = accumulate(grad, grad_compressed, weight, None, first)
            else:
                grad_x = convolve(grad_compressed, weight, groups=first)
        # the norm behind takes away whatever beta2 adds
        grad_beta2 = torch.zeros_like(gamma1)
        return (
            grad_x, None, grad_w1.view_as(w1), grad_gamma1, grad_beta1, grad_w2, grad_gamma2,
            grad_beta2, grad_w3.view_as(w3), grad_gamma3, grad_beta3,
        )  # fmt: skip


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _shuffled(x: Tensor, groups: int) -> Tensor:
    return x if groups == 1 else channel_shuffle(_channels_last(x), groups)


def _rows(x: Tensor) -> Tensor:
    """A map (N, C, H, W) with channels last as a matrix, a pixel a row."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _grams(a: Tensor, b: Tensor, groups: int) -> Tensor:
    """``a' b`` of each group of columns: (M, groups * n), (M, groups * k) -> (groups, n, k)."""
    n, k = a.shape[1] // groups, b.shape[1] // groups
    if groups >= _MANY_GROUPS:
        return torch.bmm(
            a.view(-1, groups, n).permute(1, 2, 0), b.view(-1, groups, k).transpose(0, 1)
        )
    out = a.new_empty(groups, n, k)
    for group in range(groups):
        left, right = a[:, group * n : (group + 1) * n], b[:, group * k : (group + 1) * k]
        torch.mm(left.t(), right, out=out[group])
    return out


def _transposed(weight: Tensor) -> Tensor:
    """Weights (groups, n, k) of a 1x1 group convolution for the one from its outputs to inputs."""
    groups, n, k = weight.shape
    return weight.transpose(1, 2).reshape(groups * k, n, 1, 1)


@cache
def _order(channels: int, shuffle_groups: int) -> Tensor:
    """Which channel each channel of the shuffled map was."""
    return torch.arange(channels).view(shuffle_groups, -1).t().flatten()
