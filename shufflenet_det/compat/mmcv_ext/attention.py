"""Multi-scale deformable attention (``csrc/common/cuda/ms_deform_attn_cuda_kernel.cuh``).

Zhu et al., "Deformable DETR", ICLR 2021. On CPU mmcv computes it in Python; on CUDA it calls
these, which run the same Python.
"""

import torch
from torch import Tensor

from ._precision import widen


def _attend(value: Tensor, value_spatial_shapes: Tensor, sampling_locations: Tensor,
            attention_weights: Tensor) -> Tensor:
    # Imported late: that module imports this one.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, value_spatial_shapes.tolist(),
                                               sampling_locations, attention_weights)


def _check_step(batch: int, im2col_step: int) -> None:
    if batch % min(batch, im2col_step):
        raise RuntimeError(f'the batch size {batch} must be divisible by im2col_step '
                           f'{im2col_step}')


def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor,
                           value_level_start_index: Tensor, sampling_locations: Tensor,
                           attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Sum what each query samples from several feature maps.

    Args:
        value: the maps' pixels, one map after the other, [B, sum of H * W, heads, D].
        value_spatial_shapes: (H, W) of each of L maps, [L, 2].
        value_level_start_index: not used: the maps follow each other without gaps.
        sampling_locations: (x, y) from 0 to 1, [B, Q, heads, L, points, 2].
        attention_weights: [B, Q, heads, L, points].
        im2col_step: images at a time in mmcv's kernel; only the rule that it divides the batch
            is kept.

    Returns:
        [B, Q, heads * D].

    Raises:
        RuntimeError: ``im2col_step`` is below the batch size and does not divide it.
    """
    _check_step(len(value), im2col_step)
    return _attend(widen(value), value_spatial_shapes, widen(sampling_locations),
                   widen(attention_weights)).to(value.dtype)


def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor,
                            value_level_start_index: Tensor, sampling_locations: Tensor,
                            attention_weights: Tensor, grad_output: Tensor, grad_value: Tensor,
                            grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """Add the gradients of the inputs to ``grad_value`` and the two after it.

    ``grad_output`` is shaped like the output; the other arguments are those of the forward pass.
    """
    _check_step(len(value), im2col_step)
    inputs = [widen(tensor).detach().requires_grad_()
              for tensor in (value, sampling_locations, attention_weights)]
    with torch.enable_grad():
        output = _attend(inputs[0], value_spatial_shapes, *inputs[1:])
    by_value, by_location, by_weight = torch.autograd.grad(output, inputs, widen(grad_output))
    # A sample exactly one pixel outside has no gradient in mmcv, but has one in grid_sample.
    sizes = value_spatial_shapes.flip(1)[:, None]
    pixel = inputs[1].detach() * sizes - 0.5
    outside = ((pixel <= -1) | (pixel >= sizes)).any(-1, keepdim=True)
    grad_value.add_(by_value)
    grad_sampling_loc.add_(by_location.masked_fill(outside, 0))
    grad_attn_weight.add_(by_weight)


OPERATORS = {
    'ms_deform_attn_forward': ms_deform_attn_forward,
    'ms_deform_attn_backward': ms_deform_attn_backward,
}
