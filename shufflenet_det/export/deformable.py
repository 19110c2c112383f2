"""Deformable convolutions as sampling and a convolution, which ONNX has long had."""
from types import MethodType

import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from mmdet.models import TOODHead
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d


def sample(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    """What each tap of a deformable convolution reads.

    Args:
        x: (1, C, H, W).
        offset: (1, groups * taps * 2, h, w), y before x, in pixels of ``x``.
        mask: factors (1, groups * taps, h, w), or None.
        kernel, stride, padding, dilation: of the convolution, in y and x.
        groups: of channels that share offsets.

    Returns:
        (1, C * taps, h, w), all taps of a channel one after the other.
    """
    taps = kernel[0] * kernel[1]
    height, width = x.shape[2:]
    rows, columns = offset.shape[2:]
    offset = offset.reshape(groups, taps, 2, rows, columns)
    where = []
    for axis, (size, count) in enumerate(((height, rows), (width, columns))):
        # sizes of an image are tensors in a trace
        place = torch.arange(count).float() * stride[axis] - padding[axis]
        place = place[:, None] if axis == 0 else place[None]
        index = torch.arange(kernel[axis]).float() * dilation[axis]
        index = index.repeat_interleave(kernel[1]) if axis == 0 else index.repeat(kernel[0])
        place = place + index[:, None, None] + offset[:, :, axis]
        where.append((place * 2 + 1) / size - 1)
    # (groups, taps * rows, columns, 2), x before y
    grid = torch.stack(where[::-1], dim=-1).reshape(groups, -1, columns, 2)
    parts = x.reshape(groups, -1, height, width)
    found = F.grid_sample(parts, grid, padding_mode='zeros', align_corners=False)
    found = found.reshape(groups, -1, taps, rows, columns)
    if mask is not None:
        found = found * mask.reshape(groups, 1, taps, rows, columns)
    return found.reshape(1, -1, rows, columns)


class SampledConv2d(nn.Module):
    """A deformable convolution that samples first, with mmcv's weights and offsets.

    Args:
        conv: the deformable convolution, which may bring the convolution of its offsets along.
    """

    def __init__(self, conv: DeformConv2d | ModulatedDeformConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(conv.weight.flatten(1)[:, :, None, None], requires_grad=False)
        self.bias = getattr(conv, 'bias', None)
        self.groups = conv.groups
        self.conv_offset = getattr(conv, 'conv_offset', None)
        self.modulated = isinstance(conv, ModulatedDeformConv2d)
        self.about = (
            tuple(conv.kernel_size), conv.stride, conv.padding, conv.dilation, conv.deform_groups
        )  # fmt: skip

    def forward(
        self, x: Tensor, offset: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Maps (1, C, H, W), offsets and a mask to (1, out, h, w)."""
        offset, mask = self._offsets(x, offset, mask)
        taps = sample(x, offset, mask, *self.about)
        return F.conv2d(taps, self.weight, self.bias, groups=self.groups)

    def _offsets(
        self, x: Tensor, offset: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if self.conv_offset is not None:
            offset = self.conv_offset(x)
            if self.modulated:
                count = offset.shape[1] // 3 * 2
                offset, mask = offset[:, :count], offset[:, count:].sigmoid()
        return offset, mask


class TorchvisionDeformConv2d(SampledConv2d):
    """The same as torchvision's operator, which pnnx knows as ncnn's."""

    def forward(
        self, x: Tensor, offset: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Maps (1, C, H, W), offsets and a mask to (1, out, h, w)."""
        offset, mask = self._offsets(x, offset, mask)
        kernel, stride, padding, dilation, _ = self.about
        weight = self.weight.reshape(len(self.weight), -1, *kernel)
        return deform_conv2d(x, offset, weight, self.bias, stride, padding, dilation, mask)


def _sample_boxes(head: TOODHead, boxes: Tensor, offset: Tensor) -> Tensor:
    # as TOODHead.deform_sampling: each of the four numbers has offsets of its own
    one = (1, 1)
    return sample(boxes, offset, None, one, one, (0, 0), one, boxes.shape[1])


def use_sampling(model: nn.Module, form: type[SampledConv2d] = SampledConv2d) -> None:
    """Put another form in the place of all deformable convolutions."""
    for parent in list(model.modules()):
        if isinstance(parent, TOODHead) and form is SampledConv2d:
            parent.deform_sampling = MethodType(_sample_boxes, parent)
        for name, child in list(parent.named_children()):
            if isinstance(child, DeformConv2d | ModulatedDeformConv2d):
                setattr(parent, name, form(child))
