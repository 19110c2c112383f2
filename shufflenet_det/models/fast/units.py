"""A training step on CPU of a ShuffleNet unit as one function.

The last two batch norms are folded into the last convolution. Between the depthwise convolution and
the end of the unit all is linear but for these two. With the covariance C of the
pixels between them, which takes one small matrix product for each group, the statistics of both are
known before the expanding convolution W runs: the first needs the diagonal of C, the second that of
W C W'. So neither of them reads or writes the widest maps, forward or backward, and none of these
is kept. The folded convolution adds the input and takes the positive part as it writes its result.
"""
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..onednn import accumulate, pointwise
from .maps import (
    POOL,
    channels_last,
    conv_backward,
    grams,
    mask,
    mask_into,
    reordered,
    rows,
    shuffled,
    transposed,
)


class Parameters(NamedTuple):
    """Weights of the compressing (1), depthwise (2) and expanding (3) convolution, and weights and
    biases of the batch norms behind them; or the gradients of all these."""

    w1: Tensor
    gamma1: Tensor
    beta1: Tensor
    w2: Tensor
    gamma2: Tensor
    beta2: Tensor
    w3: Tensor
    gamma3: Tensor
    beta3: Tensor


class Norm(NamedTuple):
    """Running statistics of a batch norm, which a step updates, and its settings."""

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float
    eps: float


class UnitTensors(NamedTuple):
    """A unit whose batch norms take the statistics of the batch.

    Attributes:
        parameters: of its convolutions and norms.
        norms: its three batch norms.
        stride: 1 adds the input; 2 concatenates the pooled input.
        shuffle: groups of the channel shuffle in front of the expanding convolution.
    """

    parameters: Parameters
    norms: tuple[Norm, Norm, Norm]
    stride: int
    shuffle: int


def train_unit(unit: UnitTensors, x: Tensor) -> Tensor:
    """The result of a unit in a training step.

    Args:
        unit: whose running statistics are updated.
        x: (N, C, H, W), for which :func:`.conditions.trains_here`.
    """
    torch._foreach_add_([norm.batches for norm in unit.norms], 1)
    return _Unit.apply(x, unit, *unit.parameters)


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: UnitTensors, *_: Tensor) -> Tensor:
        out, kept = _Kept.forward(unit, channels_last(x))
        ctx.unit = unit
        ctx.save_for_backward(*kept, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *kept, out = ctx.saved_tensors
        needs_x = ctx.needs_input_grad[0]
        to_x, of_parameters = _Kept._make(kept).backward(ctx.unit, out, grad, needs_x)
        return to_x, None, *of_parameters


class _Kept(NamedTuple):
    """What the backward pass of a unit reads.

    Small ones are a row for each group of the expanding convolution: ``wt`` is its weight times the
    second norm's ``scale2``, ``folded`` that times the third norm's ``scale3``, and ``wtc`` is
    ``wt`` times the covariance.
    """

    x: Tensor
    w1: Tensor
    gamma1: Tensor
    w2: Tensor
    w3: Tensor
    compressed: Tensor
    mean1: Tensor
    inverse1: Tensor
    positive: Tensor
    centred: Tensor
    inverse2: Tensor
    scale2: Tensor
    inverse3: Tensor
    scale3: Tensor
    wt: Tensor
    wtc: Tensor
    folded: Tensor

    @classmethod
    def forward(cls, unit: UnitTensors, x: Tensor) -> tuple[Tensor, Self]:
        """Compress, norm, ReLU; depthwise; norm, shuffle, expand, norm, add, ReLU."""
        w1, gamma1, beta1, w2, gamma2, beta2, w3, gamma3, beta3 = unit.parameters
        norm1, norm2, norm3 = unit.norms
        compressed = pointwise(x, w1, None, x.shape[1] // w1.shape[1])
        positive, mean1, inverse1 = torch.native_batch_norm(
            compressed, gamma1, beta1, norm1.mean, norm1.variance, True, norm1.momentum, norm1.eps
        )
        filtered = F.conv2d(positive.relu_(), w2, None, unit.stride, 1, groups=len(w2))
        filtered = shuffled(filtered, unit.shuffle)

        # per group: pixels (M, k), without their mean then, have the covariance c (k, k); w (n, k)
        pixels, size = rows(filtered), w3.shape[1]
        count, groups = len(pixels), len(w2) // size
        w = w3.view(groups, -1, size)
        mean2 = pixels.mean(0)
        pixels.sub_(mean2)
        c = grams(pixels, pixels, groups).div_(count)
        variance2 = c.diagonal(dim1=1, dim2=2)
        inverse2 = (variance2 + norm2.eps).rsqrt_()
        scale2 = inverse2 * reordered(gamma2, unit.shuffle).view(groups, size)
        wt = w * scale2.unsqueeze(1)
        wtc = wt @ c
        variance3 = (wtc * wt).sum(2).clamp_(min=0)
        inverse3 = (variance3 + norm3.eps).rsqrt_()
        scale3 = inverse3 * gamma3.view(groups, -1)
        folded = (wt * scale3.unsqueeze(2)).view(w3.shape)
        added = x if unit.stride == 1 else None
        out = pointwise(filtered, folded, beta3, groups, relu=True, add=added)
        if unit.stride == 2:
            out = torch.cat((F.avg_pool2d(x, *POOL), out), dim=1)

        back = len(w2) // unit.shuffle
        mean3 = w @ reordered(beta2, unit.shuffle).view(groups, size, 1)
        _update(norm2, reordered(mean2, back), reordered(variance2, back), count)
        _update(norm3, mean3.flatten(), variance3.flatten(), count)
        return out, cls(
            x, w1, gamma1, w2, w3, compressed, mean1, inverse1, positive, filtered, inverse2,
            scale2, inverse3, scale3, wt, wtc, folded,
        )  # fmt: skip

    def backward(
        self, unit: UnitTensors, out: Tensor, grad: Tensor, needs_x: bool
    ) -> tuple[Tensor | None, Parameters]:
        """From the gradient of the result to those of the input and of the parameters.

        Args:
            unit: as in the forward pass.
            out: the result.
            grad: of the result.
            needs_x: whether the gradient of the input is needed.
        """
        x, stride = self.x, (unit.stride, unit.stride)
        to_x: Tensor | None = None
        if unit.stride == 2:
            pooled, grad = grad.tensor_split((x.shape[1],), dim=1)
            grad = channels_last(mask(grad, out[:, x.shape[1] :], 0))
            if needs_x:
                to_x = torch.ops.aten.avg_pool2d_backward(
                    channels_last(pooled), x, *POOL, False, True, None
                )
        else:
            to_x = grad = mask(channels_last(grad), out, 0)

        grad, last = self._to_filtered(unit, grad)
        grad, w2, _ = conv_backward(
            grad, self.positive, self.w2, None, stride, (1, 1), (1, 1), False, (0, 0),
            len(self.w2), (True, True, False),
        )  # fmt: skip
        # the epsilon of the norm is in the inverse already
        grad, gamma1, beta1 = torch.ops.aten.native_batch_norm_backward(
            mask_into(grad, self.positive, 0, grad_input=grad), self.compressed, self.gamma1,
            None, None, self.mean1, self.inverse1, True, 0.0, (True, True, True),
        )  # fmt: skip
        groups = x.shape[1] // self.w1.shape[1]
        w1 = grams(rows(grad), rows(x), groups)
        if needs_x:
            to_x = accumulate(to_x, grad, transposed(self.w1.view(w1.shape)), groups)
        first = dict(w1=w1.view(self.w1.shape), gamma1=gamma1, beta1=beta1, w2=w2)
        return to_x, Parameters(**first, **last)

    def _to_filtered(self, unit: UnitTensors, grad: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradients of the depthwise convolution's result and of what is folded."""
        wt, scale2, scale3 = self.wt, self.scale2, self.scale3
        groups, _, size = wt.shape
        back = groups * size // unit.shuffle
        pixels = rows(grad)
        beta3 = pixels.sum(0)
        grad_folded = grams(pixels, rows(self.centred), groups)
        # folded = wt * gamma3 * inverse3, inverse3 = (diag(wt c wt') + eps) ** -0.5
        gamma3 = (grad_folded * wt).sum(2).mul_(self.inverse3)
        variance3 = (gamma3 * scale3).mul_(self.inverse3).unsqueeze(2)
        grad_wt = grad_folded.mul_(scale3.unsqueeze(2)).addcmul_(variance3, self.wtc, value=-1)
        c = wt.transpose(1, 2) @ (variance3 * wt)
        # wt = w * gamma2 * inverse2, inverse2 = (diag(c) + eps) ** -0.5
        w3 = (grad_wt * scale2.unsqueeze(1)).view(self.w3.shape)
        gamma2 = (grad_wt * self.w3.view(wt.shape)).sum(1).mul_(self.inverse2)
        c.diagonal(dim1=1, dim2=2).add_((gamma2 * scale2).mul_(self.inverse2))
        # c = u'u / M, which is symmetric, and so is its gradient; that of u has no mean, because u
        # had none
        c.mul_(-1 / len(pixels))
        mean = (beta3.view(groups, 1, -1) @ self.folded.view(wt.shape)).mul_(-1 / len(pixels))
        grad = pointwise(grad, transposed(self.folded.view(wt.shape)), mean.flatten(), groups)
        grad = accumulate(grad, self.centred, c.view(groups * size, -1, 1, 1), groups)
        return shuffled(grad, back), dict(
            gamma2=reordered(gamma2, back),
            # the norm behind takes away whatever beta2 adds
            beta2=torch.zeros_like(scale2).flatten(),
            w3=w3,
            gamma3=gamma3.flatten(),
            beta3=beta3,
        )


def _update(norm: Norm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move running statistics towards those of ``count`` values a channel."""
    norm.mean.lerp_(mean, norm.momentum)
    norm.variance.lerp_(variance * (count / (count - 1)), norm.momentum)
