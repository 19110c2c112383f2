"""Deformable convolutions against a loop that autograd can follow."""

import shufflenet_det  # noqa: F401  provides mmcv._ext
from shufflenet_det.compat import mmcv_ext

import pytest
import torch
from torch.autograd import gradcheck

mmcv_ext.install()

from mmcv.ops import (  # noqa: E402
    DeformConv2d,
    DeformConv2dPack,
    ModulatedDeformConv2dPack,
    deform_conv2d,
    modulated_deform_conv2d,
)

STRIDE, PADDING, DILATION, GROUPS, OFFSET_GROUPS = (2, 1), (1, 2), (1, 2), 2, 2
# Input 6 x 8, kernel 3 x 2.
OUTPUT = (3, 10)
PLACES = OFFSET_GROUPS * 6


def tensors(offset_scale=1.3, size=OUTPUT, batch=2):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return {
        'input': normal(batch, 4, 6, 8),
        'offset': normal(batch, 2 * PLACES, *size) * offset_scale,
        'mask': normal(batch, PLACES, *size).sigmoid(),
        'weight': normal(6, 2, 3, 2),
        'bias': normal(6),
    }


def bilinear(image, y, x):
    """All channels of image [C, H, W] at one place; zero, without a slope, from -1 outwards."""
    height, width = image.shape[1:]
    if y <= -1 or y >= height or x <= -1 or x >= width:
        return 0
    top, left = int(y.floor()), int(x.floor())
    value = 0
    for row, y_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for column, x_weight in ((left, left + 1 - x), (left + 1, x - left)):
            if 0 <= row < height and 0 <= column < width:
                value = value + y_weight * x_weight * image[:, row, column]
    return value


def reference(input, offset, weight, mask=None, bias=None):
    """Offsets and mask are read by their address in each image, like the kernels do."""
    out_channels, in_channels, kernel_h, kernel_w = weight.shape
    height, width = OUTPUT
    images = []
    for image, offsets, masks in zip(
            input, offset.flatten(1), [None] * len(input) if mask is None else mask.flatten(1),
            strict=True):
        pixels = []
        for i, j in torch.cartesian_prod(torch.arange(height), torch.arange(width)).tolist():
            total = 0 if bias is None else bias
            for ki, kj in torch.cartesian_prod(torch.arange(kernel_h),
                                               torch.arange(kernel_w)).tolist():
                parts = []
                for group, channels in enumerate(image.chunk(OFFSET_GROUPS)):
                    place = group * kernel_h * kernel_w + ki * kernel_w + kj
                    dy, dx = (offsets[((2 * place + axis) * height + i) * width + j]
                              for axis in (0, 1))
                    part = bilinear(channels, i * STRIDE[0] - PADDING[0] + ki * DILATION[0] + dy,
                                    j * STRIDE[1] - PADDING[1] + kj * DILATION[1] + dx)
                    part = part + channels.new_zeros(len(channels))
                    if masks is not None:
                        part = part * masks[(place * height + i) * width + j]
                    parts.append(part)
                sampled = torch.cat(parts).view(GROUPS, in_channels, 1)
                kernel = weight[:, :, ki, kj].view(GROUPS, -1, in_channels)
                total = total + (kernel @ sampled).flatten()
            pixels.append(total)
        images.append(torch.stack(pixels, 1).view(out_channels, height, width))
    return torch.stack(images)


def plain(input, offset, weight, im2col_step=32):
    return deform_conv2d(input, offset, weight, STRIDE, PADDING, DILATION, GROUPS, OFFSET_GROUPS,
                         False, im2col_step)


def modulated(input, offset, mask, weight, bias=None):
    return modulated_deform_conv2d(input, offset, mask, weight, bias, STRIDE, PADDING, DILATION,
                                   GROUPS, OFFSET_GROUPS)


def assert_same_with_gradients(function, expected_function, inputs):
    leaves = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
    output, expected = function(**leaves), expected_function(**leaves)
    torch.testing.assert_close(output, expected)
    weight = torch.randn_like(output)
    for name, mine, theirs in zip(leaves, *(
            torch.autograd.grad(result, list(leaves.values()), weight)
            for result in (output, expected)), strict=True):
        torch.testing.assert_close(mine, theirs, msg=lambda text, name=name: f'{name}: {text}')


# Zero offsets put every sample on the grid, those in the padding at exactly -1 and further out.
@pytest.mark.parametrize('offset_scale', [0.0, 1.3])
def test_deform_conv_equals_the_loop(offset_scale):
    inputs = tensors(offset_scale)
    assert_same_with_gradients(plain, reference,
                               {name: inputs[name] for name in ('input', 'offset', 'weight')})


@pytest.mark.parametrize('offset_scale', [0.0, 1.3])
@pytest.mark.parametrize('with_bias', [True, False])
def test_modulated_deform_conv_equals_the_loop(offset_scale, with_bias):
    inputs = tensors(offset_scale, batch=1)
    if not with_bias:
        del inputs['bias']
    assert_same_with_gradients(modulated, reference, inputs)


def test_modulated_deform_conv_reads_larger_maps_in_memory_order():
    inputs = tensors(size=(4, 13))
    grown = {**inputs, 'offset': inputs['offset'].requires_grad_()}
    assert_same_with_gradients(modulated, reference, grown)
    modulated(**grown).sum().backward()
    used = 2 * PLACES * OUTPUT[0] * OUTPUT[1]
    assert not grown['offset'].grad.flatten(1)[:, used:].any()
    assert grown['offset'].grad.flatten(1)[:, :used].any()


def test_modulated_deform_conv_refuses_smaller_maps():
    with pytest.raises(RuntimeError, match='too small'):
        modulated(**tensors(size=(2, 10)))


def test_gradcheck():
    inputs = {name: tensor.requires_grad_() for name, tensor in tensors(batch=1).items()}
    assert gradcheck(plain, [inputs[name] for name in ('input', 'offset', 'weight')],
                     fast_mode=True)
    assert gradcheck(modulated, list(inputs.values()), fast_mode=True)


def test_im2col_step_divides_the_batch():
    from mmcv import _ext
    inputs = tensors(batch=4)
    del inputs['mask'], inputs['bias']
    assert plain(**inputs, im2col_step=2).equal(
        torch.cat([plain(*one) for one in zip(*(
            inputs[name].split(2) for name in ('input', 'offset')), [inputs['weight']] * 2,
            strict=True)]))
    with pytest.raises(AssertionError, match='divisible by im2col_step'):
        plain(**inputs, im2col_step=3)
    with pytest.raises(RuntimeError, match='divisible by im2col_step'):
        _ext.deform_conv_forward(
            inputs['input'], inputs['weight'], inputs['offset'], torch.zeros(4, 6, *OUTPUT,
                                                                           dtype=torch.float64),
            torch.zeros(0), torch.zeros(0), 2, 3, 1, 2, 2, 1, 2, 1, GROUPS, OFFSET_GROUPS, 3)


@pytest.mark.parametrize('frozen', ['input', 'offset', 'weight'])
def test_deform_conv_gradients_do_not_depend_on_each_other(frozen):
    inputs = tensors()
    names = ('input', 'offset', 'weight')
    full = torch.autograd.grad(plain(*(inputs[name].requires_grad_() for name in names)).sum(),
                               [inputs[name] for name in names])
    leaves = {name: inputs[name].detach().requires_grad_(name != frozen) for name in names}
    output = plain(**leaves)
    for factor in (1, 2):  # twice: nothing is left over from the first pass
        for tensor in leaves.values():
            tensor.grad = None
        (factor * output).sum().backward(retain_graph=True)
        for name, gradient in zip(names, full, strict=True):
            if name != frozen:
                torch.testing.assert_close(leaves[name].grad, factor * gradient)
        if frozen != 'weight':  # the scratch that carries its gradient is empty again
            assert not vars(output.grad_fn.bufs_[0])


def test_weight_gradient_is_found_without_that_of_the_input():
    inputs = tensors()
    expected, = torch.autograd.grad(
        reference(inputs['input'], inputs['offset'], inputs['weight'].requires_grad_()).sum(),
        inputs['weight'])
    got, = torch.autograd.grad(
        plain(inputs['input'], inputs['offset'], inputs['weight']).sum(), inputs['weight'])
    torch.testing.assert_close(got, expected)


def test_input_smaller_than_the_kernel():
    layer = DeformConv2d(4, 4, 3, padding=1)
    assert layer(torch.randn(1, 4, 2, 5), torch.zeros(1, 18, 2, 5)).shape == (1, 4, 2, 5)
    with pytest.raises(RuntimeError, match='smaller than the kernel'):
        deform_conv2d(torch.randn(1, 4, 2, 5), torch.zeros(1, 18, 2, 5), layer.weight, 1, 1)


@pytest.mark.parametrize('layer', [DeformConv2dPack, ModulatedDeformConv2dPack])
def test_autocast(layer):
    torch.manual_seed(0)
    layer, image = layer(4, 6, 3, padding=1), torch.randn(1, 4, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        output = layer(image)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), layer(image), rtol=0.03, atol=0.03)
    output.float().sum().backward()
    assert layer.conv_offset.weight.grad.isfinite().all() and layer.weight.grad.any()
