"""Deformable convolution, with a mask and without (``csrc/pytorch/deform_conv.cpp``,
``csrc/pytorch/modulated_deform_conv.cpp`` and the kernels they call).

Dai et al., "Deformable Convolutional Networks", ICCV 2017; Zhu et al., "Deformable ConvNets v2",
CVPR 2019. Shapes: B images, C channels in and O out, kernel kh x kw, output h x w, G groups of
channels that share their offsets (y and x in pixels of the input for every kernel place).
"""

from typing import NamedTuple

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from ._precision import widen


class _Geometry(NamedTuple):
    """Arguments of torchvision's operators, in their order; pairs are (y, x)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    offset_groups: int

    def flat(self) -> tuple[int, ...]:
        return (*self.stride, *self.padding, *self.dilation, self.groups, self.offset_groups)


class _Gradients(NamedTuple):
    """What torchvision's backward operator returns, in its order."""

    input: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor


def _output_size(input: Tensor, weight: Tensor, geometry: _Geometry) -> tuple[int, int]:
    height, width = (
        (size + 2 * padding - (dilation * (kernel - 1) + 1)) // stride + 1
        for size, kernel, stride, padding, dilation in zip(
            input.shape[2:], weight.shape[2:], geometry.stride, geometry.padding,
            geometry.dilation, strict=True))
    return height, width


def _convolve(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None,
              bias: Tensor | None, geometry: _Geometry) -> Tensor:
    input = widen(input)
    return torch.ops.torchvision.deform_conv2d(
        input, weight.to(input), offset.to(input),
        input.new_zeros(len(input), 1) if mask is None else mask.to(input),
        input.new_zeros(len(weight)) if bias is None else bias.to(input),
        *geometry.flat(), mask is not None)


def _gradients(grad: Tensor, input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None,
               geometry: _Geometry) -> _Gradients:
    input = widen(input)
    gradients = _Gradients(*torch.ops.torchvision._deform_conv2d_backward(
        grad.to(input), input, weight.to(input), offset.to(input),
        input.new_zeros(len(input), 1) if mask is None else mask.to(input),
        input.new_zeros(len(weight)), *geometry.flat(), mask is not None))
    outside = _samples_outside(input, weight, offset.to(input), geometry)
    return gradients._replace(offset=gradients.offset.masked_fill(outside, 0))


def _samples_outside(input: Tensor, weight: Tensor, offset: Tensor,
                     geometry: _Geometry) -> Tensor:
    """Tell which offsets lead to a sample that reads zeros only, shaped like ``offset``.

    mmcv gives those no gradient. torchvision differs at exactly one pixel outside, where it takes
    the slope towards the inside: at every border place while offsets are still zero.
    """
    height, width = offset.shape[2:]
    outside = []
    for axis, (count, kernel) in enumerate(zip((height, width), weight.shape[2:], strict=True)):
        place = torch.arange(kernel, device=offset.device) * geometry.dilation[axis]
        output = torch.arange(count, device=offset.device) * geometry.stride[axis]
        # [kernel places, output positions]: of the regular grid, in whole pixels
        grid = place[:, None] + output - geometry.padding[axis]
        grid = grid[:, None, :, None] if axis == 0 else grid[None, :, None, :]
        # [B, G, kh, kw, 2, h, w]
        moved = offset.unflatten(1, (-1, *weight.shape[2:], 2))[..., axis, :, :] + grid
        outside.append((moved <= -1) | (moved >= input.shape[2 + axis]))
    either = outside[0] | outside[1]
    return either.unsqueeze(4).expand(-1, -1, -1, -1, 2, -1, -1).reshape(offset.shape)


def _check(input: Tensor, weight: Tensor, im2col_step: int) -> None:
    if len(input) % im2col_step:
        raise RuntimeError(f'the batch size {len(input)} must be divisible by im2col_step '
                           f'{im2col_step}')
    if input.shape[2] < weight.shape[2] or input.shape[3] < weight.shape[3]:
        raise RuntimeError(f'the input {tuple(input.shape[2:])} is smaller than the kernel '
                           f'{tuple(weight.shape[2:])}')


def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor,
                        columns: Tensor, ones: Tensor, kW: int, kH: int, dW: int, dH: int,
                        padW: int, padH: int, dilationW: int, dilationH: int, group: int,
                        deformable_group: int, im2col_step: int) -> None:
    """Fill ``output`` [B, O, h, w] with the convolution at moved places.

    Args:
        input: [B, C, H, W].
        weight: [O, C / group, kH, kW].
        offset: [B, 2 * deformable_group * kH * kW, h, w].
        output: output.
        columns: not used.
        ones: not used.
        kW: width of the kernel.
        kH: height of the kernel.
        dW: stride in x.
        dH: stride in y.
        padW: zero padding in x.
        padH: zero padding in y.
        dilationW: dilation in x.
        dilationH: dilation in y.
        group: groups of channels convolved apart.
        deformable_group: groups of channels with offsets of their own.
        im2col_step: images at a time in mmcv's kernel; only the rule that it divides the batch
            is kept.

    Raises:
        RuntimeError: shapes that do not fit each other, ``im2col_step`` or the kernel.
    """
    _check(input, weight, im2col_step)
    geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    output.copy_(_convolve(input, weight, offset, None, None, geometry))


def deform_conv_backward_input(input: Tensor, offset: Tensor, gradOutput: Tensor,
                               gradInput: Tensor, gradOffset: Tensor, weight: Tensor,
                               columns: Tensor, kW: int, kH: int, dW: int, dH: int, padW: int,
                               padH: int, dilationW: int, dilationH: int, group: int,
                               deformable_group: int, im2col_step: int) -> None:
    """Add the input's gradient to ``gradInput`` and set ``gradOffset`` to the offsets'.

    Arguments are as in :func:`deform_conv_forward`, each gradient is shaped like its tensor.
    """
    _check(input, weight, im2col_step)
    geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    gradients = _gradients(gradOutput, input, weight, offset, None, geometry)
    gradInput.add_(gradients.input)
    gradOffset.copy_(gradients.offset)
    # torchvision computes all gradients at once, and mmcv asks for the weight's next, with the
    # same scratch tensor: leaving it there halves the work.
    columns.weight_gradient = gradients.weight


def deform_conv_backward_parameters(input: Tensor, offset: Tensor, gradOutput: Tensor,
                                    gradWeight: Tensor, columns: Tensor, ones: Tensor, kW: int,
                                    kH: int, dW: int, dH: int, padW: int, padH: int,
                                    dilationW: int, dilationH: int, group: int,
                                    deformable_group: int, scale: float,
                                    im2col_step: int) -> None:
    """Add ``scale`` times the weight's gradient to ``gradWeight``.

    Arguments are as in :func:`deform_conv_forward`.
    """
    _check(input, gradWeight, im2col_step)
    gradient = vars(columns).pop('weight_gradient', None)
    if gradient is None:
        geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group,
                             deformable_group)
        gradient = _gradients(gradOutput, input, gradWeight, offset, None, geometry).weight
    gradWeight.add_(gradient, alpha=scale)


def _read_in_memory_order(maps: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """Reinterpret each image's values as [channels, *size], leaving out those at the end.

    mmcv's kernels address the offsets and the mask as if they had the size of the output and do
    not check it; DyHead relies on this with larger maps (its offsets come from another level).

    Raises:
        RuntimeError: there are fewer values than that.
    """
    needed = channels * size[0] * size[1]
    values = maps.flatten(1)
    if values.shape[1] < needed:
        raise RuntimeError(f'offsets or mask of shape {tuple(maps.shape)} are too small for '
                           f'{channels} channels of {size}')
    return values[:, :needed].unflatten(1, (channels, *size))


def _write_in_memory_order(gradient: Tensor, maps: Tensor) -> None:
    """Set ``maps`` to a gradient for what :func:`_read_in_memory_order` read, else to zero."""
    values = gradient.flatten(1)
    missing = maps[0].numel() - values.shape[1]
    maps.copy_(torch.nn.functional.pad(values, (0, missing)).view(maps.shape))


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                  offset: Tensor, mask: Tensor, output: Tensor, columns: Tensor,
                                  kernel_h: int, kernel_w: int, stride_h: int, stride_w: int,
                                  pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
                                  group: int, deformable_group: int, with_bias: bool) -> None:
    """Fill ``output`` [B, O, h, w] with the convolution at moved places, each times its mask.

    Args:
        input: [B, C, H, W].
        weight: [O, C / group, kernel_h, kernel_w].
        bias: [O], or anything unless ``with_bias``.
        ones: not used.
        offset: [B, 2 * deformable_group * kernel_h * kernel_w, h, w]; larger maps are read in
            memory order.
        mask: [B, deformable_group * kernel_h * kernel_w, h, w]; likewise.
        output: output.
        columns: not used.
        kernel_h: height of the kernel.
        kernel_w: width of the kernel.
        stride_h: stride in y.
        stride_w: stride in x.
        pad_h: zero padding in y.
        pad_w: zero padding in x.
        dilation_h: dilation in y.
        dilation_w: dilation in x.
        group: groups of channels convolved apart.
        deformable_group: groups of channels with offsets and masks of their own.
        with_bias: add ``bias``.

    Raises:
        RuntimeError: shapes that do not fit each other.
    """
    geometry = _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group,
                         deformable_group)
    size = _output_size(input, weight, geometry)
    places = deformable_group * kernel_h * kernel_w
    output.copy_(_convolve(input, weight, _read_in_memory_order(offset, 2 * places, size),
                           _read_in_memory_order(mask, places, size), bias if with_bias else None,
                           geometry))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                   offset: Tensor, mask: Tensor, columns: Tensor,
                                   grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   kernel_h: int, kernel_w: int, stride_h: int, stride_w: int,
                                   pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
                                   group: int, deformable_group: int, with_bias: bool) -> None:
    """Add to the gradients of input, weight and bias, and set those of offset and mask.

    Arguments are as in :func:`modulated_deform_conv_forward`, each gradient is shaped like its
    tensor.
    """
    geometry = _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group,
                         deformable_group)
    size = _output_size(input, weight, geometry)
    places = deformable_group * kernel_h * kernel_w
    gradients = _gradients(grad_output, input, weight,
                           _read_in_memory_order(offset, 2 * places, size),
                           _read_in_memory_order(mask, places, size), geometry)
    grad_input.add_(gradients.input)
    grad_weight.add_(gradients.weight)
    if with_bias:
        grad_bias.add_(gradients.bias)
    _write_in_memory_order(gradients.offset, grad_offset)
    _write_in_memory_order(gradients.mask, grad_mask)


OPERATORS = {
    'deform_conv_forward': deform_conv_forward,
    'deform_conv_backward_input': deform_conv_backward_input,
    'deform_conv_backward_parameters': deform_conv_backward_parameters,
    'modulated_deform_conv_forward': modulated_deform_conv_forward,
    'modulated_deform_conv_backward': modulated_deform_conv_backward,
}
