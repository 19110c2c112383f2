"""A training step of the stem on CPU as one function: convolution, batch norm, ReLU, max pooling.

The greatest of normalised values is the greatest of the values, normalised, where the norm's weight
is positive, and a negative weight is that of a filter with the other sign. So the convolution's
result, by far the largest map of the network, is pooled first, and norm and ReLU see a quarter of
it. Of the large map itself only the statistics are taken, and its gradient is written once.
"""
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .conditions import is_observed, is_plain, trains_here
from .operators import POOL, conv_backward, mask, max_pool, max_pool_backward, moments
from .pixels import channels_last, per_channel, per_filter, rows


def stem_fits(conv: nn.Module, pool: nn.Module, x: Tensor) -> bool:
    """Whether this is a training step that :func:`train_stem` can take."""
    return (
        conv.training
        and trains_here(x)
        and not x.requires_grad
        and is_plain(conv)
        and conv.norm.training
        and conv.with_activation
        and conv.conv.groups == 1
        and conv.conv.padding_mode == 'zeros'
        and not isinstance(conv.conv.padding, str)
        and type(pool) is nn.MaxPool2d
        and (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)
        and not (pool.ceil_mode or pool.return_indices or pool.dilation != 1)
        and not is_observed(pool)
        # which of a window's equal values is the greatest would be another
        and bool(conv.norm.weight.all())
    )


def train_stem(conv: ConvModule, x: Tensor) -> Tensor:
    """Images (N, 3, H, W), which get no gradient, to the pooled map."""
    conv.norm.num_batches_tracked.add_(1)
    return _Stem.apply(x, conv, conv.conv.weight, conv.norm.weight, conv.norm.bias)


class _Stem(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layer: ConvModule, weight: Tensor, gamma: Tensor, beta: Tensor
    ) -> Tensor:
        norm = layer.norm
        where = layer.conv.stride, layer.conv.padding, layer.conv.dilation
        sign = gamma.sign()
        y = F.conv2d(channels_last(x), weight * per_filter(sign), None, *where)
        pixels = y.shape[0] * y.shape[2] * y.shape[3]
        mean, variance = moments(y, None, None, 0.0)
        inverse = (variance + norm.eps).rsqrt()
        norm.running_mean.lerp_(mean * sign, norm.momentum)
        norm.running_var.lerp_(variance * (pixels / (pixels - 1)), norm.momentum)
        pooled, where_greatest = max_pool(y, *POOL)
        scale = gamma.abs() * inverse
        out = torch.addcmul(
            per_channel(beta - mean * scale), pooled, per_channel(scale)
        ).relu_()
        ctx.save_for_backward(x, weight, gamma, y, mean, inverse, pooled, where_greatest, out)
        ctx.where = where
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, gamma, y, mean, inverse, pooled, where_greatest, out = ctx.saved_tensors
        pixels = y.shape[0] * y.shape[2] * y.shape[3]
        grad = mask(channels_last(grad), out, 0)
        grad_beta = rows(grad).sum(0)
        # of the norm's result without weight and bias
        grad_scale = ((rows(grad) * rows(pooled)).sum(0) - mean * grad_beta) * inverse
        scale = gamma.abs() * inverse
        by_value = scale * inverse * grad_scale / -pixels
        grad_y = max_pool_backward(
            grad.mul_(per_channel(scale)), y, *POOL, (1, 1), False, where_greatest
        )
        grad_y.addcmul_(y, per_channel(by_value))
        grad_y.add_(per_channel(-mean * by_value - scale * grad_beta / pixels))
        stride, padding, dilation = ctx.where
        _, grad_weight, _ = conv_backward(
            grad_y, channels_last(x), weight, None, stride, padding, dilation, False, (0, 0), 1,
            (False, True, False),
        )  # fmt: skip
        sign = gamma.sign()
        return None, None, grad_weight * per_filter(sign), grad_scale * sign, grad_beta
